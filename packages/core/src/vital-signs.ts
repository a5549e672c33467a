import type { Duplex } from 'node:stream';
import type { HeartbeatTimes } from './heartbeat.js';

/** A net.Socket, or what stands in for one. */
export type Transport = Duplex & {
  bytesRead?: number;
  bytesWritten?: number;
  _handle?: (Handle & { _parent?: Handle }) | null;
};

/** Of libuv; that of TLS has the TCP connection's beneath it. */
interface Handle {
  /** Of a write that has begun, what the kernel has not taken yet: Node's own socket timeouts see progress by it, too. */
  writeQueueSize?: number;
}

/** What a look at a connection leads to: nothing, a ping, or its end. */
export type Finding = 'well' | 'silent' | 'dead';

/** What a connection has shown of life, from one look of the heartbeat to the next. Times in milliseconds. */
export class VitalSigns {
  #seenAt: number;
  #activeAt: number;
  #pingedAt = 0;
  #framesSeen = -1;
  #messagesSeen = -1;
  #bytesSeen = 0;
  #bytesFlushed = 0;
  #bytesInFlight = 0;
  #backlog = 0;

  /** @param now at the first look */
  constructor(now: number) {
    this.#seenAt = now;
    this.#activeAt = now;
  }

  /** Whether no message has passed, in or out, for as long; `messages` counts them all, and one may be on its way. */
  isIdle(messages: number, isSending: boolean, now: number, limit: number): boolean {
    if (isSending || messages !== this.#messagesSeen) {
      this.#messagesSeen = messages;
      this.#activeAt = now;
    }
    return now - this.#activeAt >= limit;
  }

  /**
   * Looks for signs of life since the last look, at most `period` milliseconds ago. A peer that is not read from cannot show
   * any; it is sent pings, for they tell whether it is there to receive them.
   */
  look(
    transport: Transport | undefined,
    framesIn: number,
    isRead: boolean,
    times: HeartbeatTimes,
    now: number,
    period: number,
  ): Finding {
    if (this.#showsLife(transport, framesIn)) {
      this.#seenAt = now;
      this.#pingedAt = 0;
      return 'well';
    }
    if (isRead && this.#pingedAt > 0) return now - this.#pingedAt >= times.timeout - period / 2 ? 'dead' : 'well';
    if (now - this.#seenAt < times.interval - period) return 'well';
    if (!isRead) this.#seenAt = now;
    this.#pingedAt = isRead ? now : 0;
    return 'silent';
  }

  /**
   * Bytes that came are life, and so is a backlog that gets shorter. Frames are counted, too, for not every transport says
   * how many bytes have come.
   */
  #showsLife(transport: Transport | undefined, framesIn: number): boolean {
    const bytesIn = transport?.bytesRead ?? 0;
    const backlog = transport?.writableLength ?? 0;
    const flushed = (transport?.bytesWritten ?? 0) - backlog;
    const handle = transport?._handle;
    const inFlight = (handle?._parent ?? handle)?.writeQueueSize ?? 0;
    const came = bytesIn !== this.#bytesSeen || framesIn !== this.#framesSeen;
    const alive = came || (this.#backlog > 0 && (flushed > this.#bytesFlushed || inFlight < this.#bytesInFlight));
    this.#bytesSeen = bytesIn;
    this.#framesSeen = framesIn;
    this.#bytesFlushed = flushed;
    this.#bytesInFlight = inFlight;
    this.#backlog = backlog;
    return alive;
  }
}
