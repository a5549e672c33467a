import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Backoff, bound, delayAfter, isFinal } from './backoff.js';
import { ConnectionClosed } from './closing.js';
import type { Connection } from './connection.js';
import { type DialOptions, dial, webSocketUrl } from './dial.js';
import { DrawbridgeError } from './errors.js';
import { amount } from './life.js';
import { report } from './reporting.js';

export interface ReconnectingOptions extends DialOptions {
  /**
   * What the first wait is at most, in milliseconds; it doubles with each attempt, and begins anew when a connection has
   * lasted longer than the wait. The wait itself is drawn evenly from nothing to that. Default 500.
   */
  backoff?: number;
  /** What any wait is at most, in milliseconds, unless the server asks for a longer one. Default 30 000. */
  maxDelay?: number;
  /** Ends it for good: the wait, the handshake or the open connection, which is closed with 1001. */
  signal?: AbortSignal;
  /**
   * Runs each time the connection is open, as a route's handler does on a server: what it throws or rejects with closes
   * the connection with 1011 and is reported.
   */
  onOpen?: (socket: Connection) => void | Promise<void>;
  /** Told whenever there is no connection for a while: the place to say so to a person. */
  onWait?: (wait: Wait) => void;
  /** Messages that may wait while there is no connection; one more throws `UNSENT_QUEUE_FULL`. Default 0: none waits. */
  maxUnsentMessages?: number;
  /** The same in bytes. Default 1 MiB. */
  maxUnsentBytes?: number;
}

/** What `onWait` is told. */
export interface Wait {
  /** When it will be dialled again, in milliseconds. */
  readonly delay: number;
  /** How many attempts there were since the last connection that held. */
  readonly attempt: number;
  /** What dialling rejected with, or the `ConnectionClosed` of the connection that is gone. */
  readonly cause: Error;
}

type Sendable = string | Uint8Array | ArrayBuffer;

/**
 * Keeps a connection open: dials, and dials again whenever it is gone, after a random wait that grows with each failure.
 *
 * A server's `Retry-After` and its close codes 1012 and 1013 (wait for 5 to 30 s) come before the waits of its own. It ends
 * where the same again would be refused again: at the close codes 1008, 4401 and 4403, and at a refused handshake with a
 * status below 500 that is not 408, 425 or 429. Throws `INVALID_OPTION`.
 *
 * @example
 * const link = reconnecting('wss://prices.example.com/ticks', {
 *   async onOpen(socket) {
 *     socket.sendJSON({ subscribe: ['EUR', 'CHF'] });
 *     for await (const tick of socket) show(tick);
 *   },
 *   onWait: ({ delay }) => show(`connection lost; back in ${Math.ceil(delay / 1000)} s`),
 * });
 * process.once('SIGTERM', () => link.close());
 * const why = await link.closed;                  // undefined, or the error that ended it
 */
export function reconnecting(url: string | URL, options: ReconnectingOptions = {}): Reconnecting {
  return new Reconnecting(url, options);
}

/** A connection that comes back: made by `reconnecting`. */
export class Reconnecting {
  /** Resolves when it has ended: with `undefined` where the application wished so, otherwise with the error that ended it. */
  readonly closed: Promise<Error | undefined>;
  readonly #url: URL;
  readonly #options: ReconnectingOptions;
  readonly #backoff: Backoff;
  readonly #unsent: Unsent;
  readonly #stop = new AbortController();
  #socket: Connection | undefined;

  /** @internal */
  constructor(url: string | URL, options: ReconnectingOptions) {
    const { backoff = 500, maxDelay = 30_000, maxUnsentMessages = 0, maxUnsentBytes = 1024 * 1024, signal } = options;
    this.#url = webSocketUrl(url);
    this.#options = options;
    this.#backoff = { backoff: amount('backoff', backoff), maxDelay: amount('maxDelay', maxDelay) };
    this.#unsent = new Unsent(amount('maxUnsentMessages', maxUnsentMessages), amount('maxUnsentBytes', maxUnsentBytes));
    const onAbort = (): void => this.#end(1001, '');
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    this.closed = this.#run().finally(() => signal?.removeEventListener('abort', onAbort));
  }

  /** The connection, while there is one that is open. */
  get socket(): Connection | undefined {
    const socket = this.#socket;
    return socket?.readyState === WebSocket.OPEN ? socket : undefined;
  }

  /** How many messages wait for a connection. */
  get unsent(): number {
    return this.#unsent.length;
  }

  /**
   * Sends a message, or keeps it until there is a connection, if `maxUnsentMessages` allows: then it leaves behind what
   * `onOpen` sends at once. A message is sent at most once: one that was on its way when a connection broke is not sent
   * again. Throws `NOT_CONNECTED`, `UNSENT_QUEUE_FULL`.
   */
  send(data: Sendable, options: { binary?: boolean } = {}): void {
    const { socket } = this;
    if (socket) return socket.send(data, options);
    if (this.#stop.signal.aborted || !this.#unsent.allowed) {
      throw new DrawbridgeError(
        'NOT_CONNECTED',
        'There is no connection now; send in onOpen, or let messages wait (maxUnsentMessages).',
      );
    }
    this.#unsent.put(data, options);
  }

  /** Ends it for good: closes the connection if there is one. Resolves when it has ended. */
  async close(code = 1000, reason = ''): Promise<void> {
    this.#end(code, reason);
    await this.closed;
  }

  #end(code: number, reason: string): void {
    this.#socket?.close(code, reason);
    this.#stop.abort();
  }

  async #run(): Promise<Error | undefined> {
    for (let attempt = 1; ; attempt++) {
      const cause = await this.#live();
      if (this.#stop.signal.aborted) return undefined;
      if (isFinal(cause)) {
        this.#stop.abort();
        report(this.#options.onError, cause, { socket: undefined });
        return cause;
      }
      if (this.#held(attempt)) attempt = 1;
      await this.#wait(attempt, cause);
      if (this.#stop.signal.aborted) return undefined;
    }
  }

  /** One connection from its handshake to its end; gives what ended it. */
  async #live(): Promise<Error> {
    this.#socket = undefined;
    try {
      this.#socket = await dial(this.#url, { ...this.#options, signal: this.#stop.signal });
    } catch (error) {
      return error as Error;
    }
    if (this.#stop.signal.aborted) this.#socket.close(1001);
    else this.#open(this.#socket);
    return new ConnectionClosed(await this.#socket.closed);
  }

  #open(socket: Connection): void {
    try {
      const running = this.#options.onOpen?.(socket);
      if (typeof running?.then === 'function') running.then(undefined, (error: unknown) => socket.fail(error));
    } catch (error) {
      socket.fail(error);
    }
    this.#unsent.leave(socket);
  }

  /** A connection that is lost again at once is no success. */
  #held(attempt: number): boolean {
    return this.#socket !== undefined && this.#socket.duration > bound(attempt, this.#backoff);
  }

  async #wait(attempt: number, cause: Error): Promise<void> {
    const delay = delayAfter(attempt, cause, this.#backoff);
    try {
      this.#options.onWait?.({ delay, attempt, cause });
    } catch (error) {
      report(this.#options.onError, error, { socket: undefined });
    }
    await sleep(delay, undefined, { signal: this.#stop.signal }).catch(() => {});
  }
}

/** The messages that wait for a connection. */
class Unsent {
  readonly #most: number;
  readonly #mostBytes: number;
  #messages: (readonly [Sendable, { binary?: boolean }])[] = [];
  #bytes = 0;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  get allowed(): boolean {
    return this.#most > 0;
  }

  get length(): number {
    return this.#messages.length;
  }

  put(data: Sendable, options: { binary?: boolean }): void {
    const bytes = this.#bytes + Buffer.byteLength(data);
    if (this.#messages.length === this.#most || bytes > this.#mostBytes) {
      throw new DrawbridgeError(
        'UNSENT_QUEUE_FULL',
        'Too much waits for the connection to come back; drop messages, or raise maxUnsentMessages or maxUnsentBytes.',
      );
    }
    this.#bytes = bytes;
    this.#messages.push([data, options]);
  }

  /** Sends them all, as long as the connection is open. */
  leave(socket: Connection): void {
    for (;;) {
      const [next] = this.#messages;
      if (!next || socket.readyState !== WebSocket.OPEN) return;
      this.#messages.shift();
      const [data, options] = next;
      this.#bytes -= Buffer.byteLength(data);
      socket.send(data, options);
    }
  }
}
