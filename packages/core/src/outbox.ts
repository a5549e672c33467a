import type { Duplex } from 'node:stream';
import { DrawbridgeError } from './errors.js';
import type { FrameEncoding } from './prepared-message.js';

/** As many bytes leave at once, even in the middle of a tick. */
const FLUSH_AT = 64 * 1024;

/** A payload of at least this many bytes is not copied: that costs more than a further entry in the vector that is written. */
const COPY_BELOW = 4 * 1024;

/** Where the failure of a callback goes. */
interface Failing {
  fail(error: unknown): void;
}

type Part = Buffer | string;
type Done = ((error?: Error | null) => void) | undefined;

/** Frames that a number of sockets are sent alike, one after the other in one tick: joined once, written to each. */
class Batch {
  bytes = 0;
  /** How many outboxes take part and have been sent nothing else since. */
  open = 0;
  readonly #frames: Buffer[] = [];
  #joined: Buffer | undefined;

  add(frame: Buffer): void {
    this.#frames.push(frame);
    this.bytes += frame.length;
    // One of the sockets may have been flushed already.
    this.#joined = undefined;
  }

  /** The first `bytes` of it. */
  upTo(bytes: number): Buffer {
    this.#joined ??= this.#frames.length === 1 ? (this.#frames[0] as Buffer) : Buffer.concat(this.#frames, this.bytes);
    return bytes === this.bytes ? this.#joined : this.#joined.subarray(0, bytes);
  }
}

/** What a socket has been sent of a batch. */
interface Share {
  readonly batch: Batch;
  bytes: number;
}

const nothing: (Buffer | Share)[] = [];

/** The outboxes that have something to send in this tick. */
let waiting: Outbox[] = [];

/** Small frames are put together here, until another connection sends or the tick ends. */
const desk = Buffer.allocUnsafeSlow(FLUSH_AT);
let deskLength = 0;
let deskOwner: Outbox | undefined;

/**
 * What a connection sends in one tick, to leave in one write when the tick ends. It stands where `ws` hands frames to the
 * socket, behind everything that `ws` queues itself (compression, pongs, the close frame), so their order is kept.
 *
 * Small payloads are copied when they are sent. One of 4 KiB or more is not, so it must not be changed before it was
 * written out, as with any of Node's streams.
 */
export class Outbox {
  /** How a shared frame has to be encoded for this connection; `undefined`: it cannot take one. */
  readonly encoding: FrameEncoding | undefined;
  readonly #socket: Duplex;
  readonly #owner: Failing;
  /** `nothing` between ticks, for an idle connection should hold nothing. */
  #items = nothing;
  #callbacks: Exclude<Done, undefined>[] | undefined;
  #batch: Batch | undefined;
  #closedBytes = 0;
  #scheduled = false;

  constructor(socket: Duplex, encoding: FrameEncoding | undefined, owner: Failing) {
    this.#socket = socket;
    this.#owner = owner;
    this.encoding = encoding;
  }

  /** What waits for the end of the tick, in bytes. */
  get bytes(): number {
    return this.#closedBytes + (this.#batch?.bytes ?? 0);
  }

  /** Whether the last that it was sent in this tick was shared with others, so that a further share may follow at once. */
  get sharing(): boolean {
    return this.#batch !== undefined;
  }

  /** Takes a frame as `ws` makes it, in one part or as head and payload. `done` is called when it has been written out. */
  push(frame: readonly Part[], done?: Done): void {
    this.endShare();
    this.#schedule();
    for (const part of frame) {
      if (part.length < COPY_BELOW) this.#copy(part);
      else this.#keep(typeof part === 'string' ? Buffer.from(part) : part);
    }
    if (done) {
      this.#callbacks ??= [];
      this.#callbacks.push(done);
    }
    if (this.#closedBytes >= FLUSH_AT) this.flush();
  }

  /**
   * Sends one frame to all of them: what is sent in one tick to the same set becomes one Buffer and one write a socket. A
   * set that differs begins a new batch, so nobody gets what was sent before it joined, or after it left.
   */
  static pushToAll(outboxes: readonly Outbox[], frame: Buffer): void {
    const [first] = outboxes;
    if (!first) return;
    let batch = first.#batch;
    if (!batch || batch.open !== outboxes.length || !outboxes.every((one) => one.#batch === batch)) {
      batch = new Batch();
      for (const outbox of outboxes) outbox.#beginShare(batch);
    }
    batch.add(frame);
    if (batch.bytes >= FLUSH_AT) flushAll();
  }

  /** What comes next is this connection's own, and has to leave behind what was shared so far. */
  endShare(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    batch.open--;
    (this.#items[this.#items.length - 1] as Share).bytes = batch.bytes;
    this.#closedBytes += batch.bytes;
  }

  flush(): void {
    this.endShare();
    if (deskOwner === this) this.#clearDesk();
    const items = this.#items;
    if (items.length === 0) return;
    const done = joinCallbacks(this.#callbacks, this.#owner);
    this.#items = nothing;
    this.#callbacks = undefined;
    this.#closedBytes = 0;
    if (this.#socket.writable) write(this.#socket, items, done);
    else
      done?.(new DrawbridgeError('CLIENT_GONE', 'The client went away before this was sent; look at the close code.'));
  }

  /** @internal */
  tickEnded(): void {
    this.#scheduled = false;
    this.flush();
  }

  #beginShare(batch: Batch): void {
    this.endShare();
    if (deskOwner === this) this.#clearDesk();
    this.#schedule();
    this.#batch = batch;
    this.#put({ batch, bytes: 0 });
    batch.open++;
  }

  #copy(part: Part): void {
    // A character takes three bytes at the most (a pair of surrogates four).
    const most = typeof part === 'string' ? part.length * 3 : part.length;
    if (deskOwner !== this || deskLength + most > desk.length) {
      if (deskOwner) deskOwner.#clearDesk();
      deskOwner = this;
    }
    const length = typeof part === 'string' ? desk.write(part, deskLength) : part.length;
    if (typeof part !== 'string') desk.set(part, deskLength);
    deskLength += length;
    this.#closedBytes += length;
  }

  #keep(part: Buffer): void {
    if (deskOwner === this) this.#clearDesk();
    this.#put(part);
    this.#closedBytes += part.length;
  }

  #clearDesk(): void {
    const own = Buffer.allocUnsafe(deskLength);
    desk.copy(own, 0, 0, deskLength);
    this.#put(own);
    deskLength = 0;
    deskOwner = undefined;
  }

  #put(item: Buffer | Share): void {
    if (this.#items === nothing) this.#items = [item];
    else this.#items.push(item);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (waiting.length === 0) process.nextTick(flushAll);
    waiting.push(this);
  }
}

// A program that sends and exits in one tick has sent.
process.on('exit', flushAll);

function flushAll(): void {
  const outboxes = waiting;
  waiting = [];
  for (const outbox of outboxes) outbox.tickEnded();
}

function write(socket: Duplex, items: readonly (Buffer | Share)[], done: Done): void {
  const last = items.length - 1;
  if (last > 0) socket.cork();
  for (let i = 0; i <= last; i++) {
    const item = items[i] as Buffer | Share;
    const buffer = Buffer.isBuffer(item) ? item : item.batch.upTo(item.bytes);
    socket.write(buffer, i === last ? done : undefined);
  }
  if (last > 0) socket.uncork();
}

/** Each is called, whatever another one throws; that is a failure of the application at this connection. */
function joinCallbacks(callbacks: Exclude<Done, undefined>[] | undefined, owner: Failing): Done {
  if (!callbacks) return undefined;
  return (error) => {
    for (const callback of callbacks) {
      try {
        callback(error);
      } catch (failure) {
        owner.fail(failure);
      }
    }
  };
}
