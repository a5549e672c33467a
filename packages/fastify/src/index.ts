// What an application needs of the core and of ws comes with this package, and is then surely the same copy.
export * from '@drawbridge/core';
export type { WebSocket } from 'ws';
export type { ConnectionOf, ValidatedConnection, WebSocketOptions, WebsocketHandler } from './augmentation.js';
export type { FastifyErrorContext, WebsocketErrorHandler } from './bridge.js';
export { inject } from './inject.js';
export { InvalidMessage, type InvalidMessagePolicy } from './message-schema.js';
export {
  type WebsocketPluginOptions,
  websocket,
  websocket as default,
  websocket as fastifyWebsocket,
} from './plugin.js';
