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
