// What an application needs of the core comes with this package, and is then surely the same copy.
export * from '@drawbridge/core';
export { attach } from './attach.js';
export { inject } from './inject.js';
export type { RouteParams } from './route-params.js';
export { websocket } from './websocket.js';
export {
  type WithWebSockets,
  type WithWebSocketsOptions,
  type WsHandler,
  type WsMethod,
  withWebSockets,
} from './with-websockets.js';
