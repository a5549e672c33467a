export type { Dispatch } from './attachment.js';
export { Connection } from './connection.js';
export { DrawbridgeError, type ErrorCode } from './errors.js';
export type { UpgradeHeaders } from './headers.js';
export { allowOrigins, anyOrigin, type CheckOrigin, sameOrigin } from './origin.js';
export { PendingUpgrade } from './pending.js';
export { Refusal, type RefusalOptions } from './refusal.js';
export type { Handler, Route, RouteOptions, UpgradeContext } from './route.js';
export type { PathParams, Query } from './router.js';
export type { Site, TrustProxy } from './site.js';
export type { Subprotocols } from './subprotocol.js';
export {
  type CloseOptions,
  type ErrorContext,
  type UpgradeRequest,
  Upgrader,
  type UpgraderOptions,
} from './upgrader.js';
