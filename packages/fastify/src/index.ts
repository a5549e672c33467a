// What an application needs of the core comes with this package, and is then surely the same copy.
export * from '@drawbridge/core';
export type { WebsocketHandler } from './augmentation.js';
export type { FastifyErrorContext, WebsocketErrorHandler } from './bridge.js';
export {
  type WebsocketPluginOptions,
  websocket,
  websocket as default,
  websocket as fastifyWebsocket,
} from './plugin.js';
