// What an application needs of the core comes with this package, and is then surely the same copy.
export * from '@drawbridge/core';
export type { WebsocketHandler } from './augmentation.js';
export { type FastifyErrorContext, type WebsocketPluginOptions, websocket, websocket as default } from './plugin.js';
