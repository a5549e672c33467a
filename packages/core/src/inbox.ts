import { DrawbridgeError } from './errors.js';
import { LONGEST_TIME } from './timer-limit.js';

/** A message as `receive` and the loop give it: text is a string, binary a Buffer. */
export type Message = string | Buffer;

/** A message as `ws` delivers it, in the shape that `binaryType` asks for; or what a decoder has made of it. */
export interface RawMessage {
  data: unknown;
  /** Whether it is to be handed on as it is, rather than as text. */
  isBinary: boolean;
  /** The bytes that a decoded one came in. */
  size?: number | undefined;
}

export interface ReceiveOptions {
  /** How long to wait, in milliseconds; then it rejects with `RECEIVE_TIMEOUT`, and nothing is lost. Default: for ever. */
  timeout?: number;
  /** Stops waiting when it fires; rejects with its reason, and nothing is lost. */
  signal?: AbortSignal;
}

interface Waiter {
  resolve(message: RawMessage): void;
  reject(error: unknown): void;
}

/** The messages that have come and nobody has taken yet, and those who wait for one; never both. */
export class Inbox {
  #messages: (RawMessage | undefined)[] = [];
  #first = 0;
  #waiters: Waiter[] = [];
  /** Of all waiting messages together. */
  bytes = 0;

  get length(): number {
    return this.#messages.length - this.#first;
  }

  /** Gives the message to who waits longest, or keeps it. */
  put(message: RawMessage): void {
    const waiter = this.#waiters.shift();
    if (waiter) return waiter.resolve(message);
    const { data, isBinary, size } = message;
    this.#messages.push(size === undefined ? { data: compact(data), isBinary } : message);
    this.bytes += sizeOf(message);
  }

  take(): RawMessage | undefined {
    const message = this.#messages[this.#first];
    if (!message) return undefined;
    this.bytes -= sizeOf(message);
    this.#messages[this.#first++] = undefined;
    if (this.#first * 2 >= this.#messages.length) {
      this.#messages = this.#messages.slice(this.#first);
      this.#first = 0;
    }
    return message;
  }

  wait({ timeout, signal }: ReceiveOptions): Promise<RawMessage> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      if (timeout === undefined && !signal) return void this.#waiters.push({ resolve, reject });
      const giveUp = (error: unknown): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        waiter.reject(error);
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const timer =
        timeout === undefined
          ? undefined
          : setTimeout(() => giveUp(timedOut(timeout)), Math.min(timeout, LONGEST_TIME));
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        resolve: (message) => {
          settle();
          resolve(message);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** Nothing will come any more. */
  end(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

/** Of a message that nobody has decoded, `Received` is `Message`. */
export function toMessage<Received>({ data, isBinary }: RawMessage): Received {
  return (isBinary ? data : String(data)) as Received;
}

function sizeOf({ data, size }: RawMessage): number {
  return size ?? byteLength(data);
}

export function byteLength(data: unknown): number {
  if (Array.isArray(data)) return data.reduce((sum: number, one: Buffer) => sum + one.length, 0);
  return (data as Uint8Array).byteLength ?? (data as Blob).size;
}

/** A message is a view of the packet it came in, and would keep all of it in memory: a small one that waits gets its own. */
function compact(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(compact);
  return Buffer.isBuffer(data) && data.length * 4 < data.buffer.byteLength ? Buffer.from(data) : data;
}

function timedOut(timeout: number): DrawbridgeError {
  return new DrawbridgeError('RECEIVE_TIMEOUT', `No message came within ${timeout} ms; wait longer, or close.`);
}
