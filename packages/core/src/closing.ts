import { DrawbridgeError } from './errors.js';
import { LONGEST_TIME } from './timer-limit.js';

/** How a connection ended (RFC 6455 section 7.1.5). */
export interface CloseInfo {
  /** The peer's close code; 1005 if its close frame had none, 1006 if it went without one. */
  readonly code: number;
  /** The peer's reason, empty if it gave none. */
  readonly reason: string;
  /** Whether there was a closing handshake. */
  readonly wasClean: boolean;
}

/** What a connection that has ended rejects with: what waits on it, and the reason of its `signal`. */
export class ConnectionClosed extends Error implements CloseInfo {
  override readonly name = 'ConnectionClosed';
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor({ code, reason, wasClean }: CloseInfo) {
    super(`The connection is closed: ${code}${reason && ` (${reason})`}.`);
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
}

/** Whether this says that a connection has ended: itself, or as the reason for which Node's own functions gave up waiting. */
export function saysClosed(error: unknown): boolean {
  try {
    if (error instanceof ConnectionClosed) return true;
    return error instanceof Error && error.name === 'AbortError' && error.cause instanceof ConnectionClosed;
  } catch {
    // Its getters are somebody else's code.
    return false;
  }
}

/** The peer is done, or leaves, or gave no code: a browser that closes a page or calls `close()`. */
export function isNormalClose(code: number): boolean {
  return code === 1000 || code === 1001 || code === 1005;
}

/**
 * Whether a connection ended otherwise than expected: `true` if the code is none of those given, as gorilla/websocket's
 * `IsUnexpectedCloseError`.
 *
 * @example
 * socket.on('close', (code) => { if (isUnexpectedClose(code, 1000, 1001)) log.warn({ code }); });
 */
export function isUnexpectedClose(code: number, ...expected: number[]): boolean {
  return !expected.includes(code);
}

export interface CloseOptions {
  /** Close code for the open connections. Default 1001, "going away". */
  code?: number;
  /** Close reason, at most 123 bytes. Default: none. */
  reason?: string;
  /**
   * After how many milliseconds those who did not answer are cut off, and handlers are not waited for; not less than
   * `spread`. Default 10 000 more than `spread`.
   */
  timeout?: number;
  /** Over how many milliseconds the closes are spread, so that clients do not all come back at once. Default 0. */
  spread?: number;
}

/** Fills in the defaults. Throws `INVALID_OPTION`. */
export function closeOptions({ code = 1001, reason = '', spread = 0, timeout }: CloseOptions): Required<CloseOptions> {
  const filled = { code, reason, spread, timeout: timeout ?? spread + 10_000 };
  if (!mayBeSent(code)) throw invalid(`code: ${code} is none that may be sent; give 1000 to 1014 or 3000 to 4999.`);
  if (Buffer.byteLength(reason) > MAX_REASON) throw invalid(`reason: it has room for ${MAX_REASON} bytes; shorten it.`);
  if (!(Number.isFinite(spread) && spread >= 0)) throw invalid(`spread: ${spread} is no number of milliseconds.`);
  if (filled.timeout <= LONGEST_TIME && filled.timeout >= spread) return filled;
  throw invalid(`timeout: ${timeout} is no number of milliseconds that leaves time for the spread of ${spread}.`);
}

/** As many bytes as a control frame has room for behind the code (RFC 6455 section 5.5). */
const MAX_REASON = 123;

/** The part of a text that a close frame has room for. */
export function closeReason(text: string): string {
  return Buffer.from(text)
    .subarray(0, MAX_REASON)
    .toString()
    .replace(/\uFFFD+$/, '');
}

/** RFC 6455 section 7.4: 1004 to 1006 and 1015 never stand in a frame. */
function mayBeSent(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (code >= 1000 && code <= 1014 && !(code >= 1004 && code <= 1006)) || (code >= 3000 && code <= 4999);
}

function invalid(message: string): DrawbridgeError {
  return new DrawbridgeError('INVALID_OPTION', message);
}

/** Does `close` to each, evenly over `spread` milliseconds; gives what stops it. */
export function closeEvenly<T>(all: readonly T[], spread: number, close: (one: T) => void): () => void {
  const start = performance.now();
  let closed = 0;
  const closeDue = (): void => {
    const due = spread === 0 ? all.length : Math.floor(((performance.now() - start) / spread) * all.length) + 1;
    while (closed < due && closed < all.length) close(all[closed++] as T);
    if (closed === all.length) clearInterval(timer);
  };
  const timer = setInterval(closeDue, 10);
  closeDue();
  return () => clearInterval(timer);
}
