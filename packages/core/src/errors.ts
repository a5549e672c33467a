/**
 * Every code that Drawbridge throws or reports. Codes are stable: match on `error.code`, never on the message.
 * The catalogue with what to do about each is in `docs/errors.md`.
 */
export type ErrorCode =
  | 'ALREADY_ATTACHED'
  | 'ALREADY_DECIDED'
  | 'CLIENT_GONE'
  | 'CONNECTION_FAILED'
  | 'CONNECTION_REFUSED'
  | 'CONSUMER_CONFLICT'
  | 'DIAL_ABORTED'
  | 'DIAL_TIMEOUT'
  | 'DNS_FAILED'
  | 'HANDSHAKE_TIMEOUT'
  | 'IMPORTED_TOO_LATE'
  | 'INVALID_HANDSHAKE'
  | 'INVALID_HEADER'
  | 'INVALID_JSON'
  | 'INVALID_MESSAGE'
  | 'INVALID_OPTION'
  | 'INVALID_ORIGIN_PATTERN'
  | 'NOT_ATTACHED'
  | 'NOT_CONNECTED'
  | 'PLUGIN_NOT_REGISTERED'
  | 'PROXY_FAILED'
  | 'RECEIVE_TIMEOUT'
  | 'ROUTE_EXISTS'
  | 'SUBPROTOCOL_NOT_OFFERED'
  | 'TLS_FAILED'
  | 'TOO_MANY_REDIRECTS'
  | 'UNSENT_QUEUE_FULL';

/** An error of the program that uses Drawbridge, or of its surroundings: `code` is stable, `message` says what to do. */
export class DrawbridgeError extends Error {
  override readonly name = 'DrawbridgeError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
