export type { AdmissionOptions } from './admission.js';
export type { Dispatch } from './attachment.js';
export { bearerToken } from './bearer-token.js';
export { type CloseInfo, type CloseOptions, ConnectionClosed, isUnexpectedClose } from './closing.js';
export { Connection, type SlowConsumerPolicy } from './connection.js';
export type { CookieJar, Cookies } from './cookies.js';
export type { DiagnosticsMessages } from './diagnostics.js';
export { type DialOptions, dial } from './dial.js';
export { DrawbridgeError, type ErrorCode } from './errors.js';
export { asksForWebSocket } from './handshake.js';
export { HandshakeRefused } from './handshake-refused.js';
export type { UpgradeHeaders } from './headers.js';
export type { HeartbeatOptions } from './heartbeat.js';
export type { Message, ReceiveOptions } from './inbox.js';
export { connectInProcess, type InjectOptions, inject } from './inject.js';
export type { LifeOptions } from './life.js';
export { allowOrigins, anyOrigin, type CheckOrigin, sameOrigin } from './origin.js';
export { PendingUpgrade } from './pending.js';
export { PreparedMessage } from './prepared-message.js';
export { type Reconnecting, type ReconnectingOptions, reconnecting, type Wait } from './reconnecting.js';
export { Refusal, type RefusalOptions } from './refusal.js';
export type { ErrorContext } from './reporting.js';
export type { Handler, Route, RouteOptions, UpgradeContext } from './route.js';
export type { PathParams, Query } from './router.js';
export type { Site, TrustProxy } from './site.js';
export type { Subprotocols } from './subprotocol.js';
export {
  type UpgradeRequest,
  Upgrader,
  type UpgraderOptions,
} from './upgrader.js';
