import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { DrawbridgeError } from './errors.js';
import { byteLength, Inbox, type RawMessage, type ReceiveOptions } from './inbox.js';

/** Makes of a message, as `ws` delivers it, what the application gets. */
export type MessageDecoder = (data: unknown, isBinary: boolean) => { readonly value: unknown } | undefined;

/** How much may wait to be taken before the client is no longer read from. */
export interface QueueLimits {
  readonly maxQueuedMessages: number;
  readonly maxQueuedBytes: number;
}

/** Whose messages they are. Its `pause` and `resume` are the application's; those of `ws` are meant here. */
type Source = WebSocket & { fail(error: unknown): void };

/**
 * What a connection takes in where it cannot be handed to a `message` listener at once: there is none yet, or it has paused,
 * or it is no listener that reads but the loop and `receive()`. Most connections never have one.
 */
export class Intake {
  readonly #source: Source;
  readonly #limits: QueueLimits;
  readonly #inbox = new Inbox();
  #decode: MessageDecoder | undefined;
  /** By the loop or `receive()`. */
  #isPulled = false;
  /** By the application. */
  #isPaused = false;
  /** By us, for want of room. */
  #isHeld = false;
  #openGate: (() => void) | undefined;

  constructor(source: Source, limits: QueueLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** Whether the client is read from. */
  get isFlowing(): boolean {
    return !this.#isHeld && !this.#isPaused;
  }

  /** Listeners, the loop and `receive()` get from now on what it makes of each message; nothing where it gives nothing. */
  decodeWith(decode: MessageDecoder): void {
    this.#decode = decode;
  }

  /** Hands a message to the listeners, or keeps it. What a decoder made is handed on as it is, as if it were binary. */
  put(data: unknown, isBinary: boolean): boolean {
    if (!this.#decode) return this.#deliver(data, isBinary);
    try {
      const message = this.#decode(data, isBinary);
      return message !== undefined && this.#deliver(message.value, true, byteLength(data));
    } catch (error) {
      this.#source.fail(error);
      return true;
    }
  }

  /** Throws `CONSUMER_CONFLICT`. */
  becomeHeard(): void {
    if (this.#isPulled)
      throw conflict('This connection is read by receive() or a loop; do not add a "message" listener beside it.');
    this.#flushSoon();
  }

  /** Throws `CONSUMER_CONFLICT`. */
  becomePulled(): void {
    if (this.#source.listenerCount('message') > 0) {
      throw conflict(
        'This connection has a "message" listener; remove it, or do not use receive() or a loop beside it.',
      );
    }
    this.#isPulled = true;
  }

  take(): RawMessage | undefined {
    const message = this.#inbox.take();
    if (message && this.#isHeld) this.#releaseIfRoom();
    return message;
  }

  wait(options: ReceiveOptions): Promise<RawMessage> {
    return this.#inbox.wait(options);
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#source.readyState === WebSocket.OPEN) readNoMore(this.#source);
  }

  resume(): void {
    this.#isPaused = false;
    this.#flushSoon();
    if (!this.#isHeld) readOn(this.#source);
  }

  /** What comes from now on is received as long as there is room for it, though nobody asks for it. */
  letIn(): void {
    if (!this.isFlowing) readOn(this.#source);
    this.#openGate?.();
  }

  /**
   * Hands the messages that have waited to the listeners, for as long as there is one and it wants them. What comes last is
   * the close, so before that they get the rest even if they have paused, as from `ws`.
   */
  flush(): void {
    const source = this.#source;
    const inbox = this.#inbox;
    while (
      inbox.length > 0 &&
      (!this.#isPaused || source.readyState === WebSocket.CLOSED) &&
      source.listenerCount('message') > 0
    ) {
      const { data, isBinary } = inbox.take() as RawMessage;
      this.#tell(data, isBinary);
    }
    if (this.#isHeld) this.#releaseIfRoom();
  }

  /** Nothing will come any more. */
  end(error: Error): void {
    this.#inbox.end(error);
  }

  /** Lets a step of receiving wait for room in the queue, so that one packet cannot swell to many messages in memory. */
  whenRoom(transport: Duplex, proceed: (closed: boolean) => void): void {
    if (!this.#isHeld || this.#source.readyState !== WebSocket.OPEN) return proceed(false);
    const open = (): void => {
      this.#openGate = undefined;
      transport.off('close', open);
      proceed(transport.destroyed);
    };
    // Before what waits has gone on, `ws` does not tell that the connection has ended.
    transport.once('close', open);
    this.#openGate = open;
  }

  #deliver(data: unknown, isBinary: boolean, size?: number): boolean {
    const heard = this.#source.listenerCount('message') > 0;
    if (heard && !this.#isPaused && this.#inbox.length === 0) return this.#tell(data, isBinary);
    if (this.#source.readyState !== WebSocket.OPEN && this.#isFull(1)) return heard;
    this.#inbox.put({ data, isBinary, size });
    if (this.#isFull(1)) this.#hold();
    return heard;
  }

  #tell(data: unknown, isBinary: boolean): boolean {
    try {
      return WebSocket.prototype.emit.call(this.#source, 'message', data, isBinary);
    } catch (error) {
      this.#source.fail(error);
      return true;
    }
  }

  #flushSoon(): void {
    if (this.#inbox.length > 0) process.nextTick(flush, this);
  }

  #isFull(share: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits;
    const { length, bytes } = this.#inbox;
    if (length === 0) return false;
    return length >= maxQueuedMessages * share || bytes >= maxQueuedBytes * share;
  }

  #hold(): void {
    if (this.#isHeld || this.#source.readyState !== WebSocket.OPEN) return;
    this.#isHeld = true;
    readNoMore(this.#source);
  }

  #releaseIfRoom(): void {
    if (this.#isFull(0.5)) return;
    this.#isHeld = false;
    this.#openGate?.();
    if (!this.#isPaused) readOn(this.#source);
  }
}

function readNoMore(source: WebSocket): void {
  WebSocket.prototype.pause.call(source);
}

function readOn(source: WebSocket): void {
  WebSocket.prototype.resume.call(source);
}

function flush(intake: Intake): void {
  intake.flush();
}

function conflict(message: string): DrawbridgeError {
  return new DrawbridgeError('CONSUMER_CONFLICT', message);
}
