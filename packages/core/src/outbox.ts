import type { Duplex } from 'node:stream';
import { DrawbridgeError } from './errors.js';
import type { FrameEncoding } from './prepared-message.js';
import type { SendCallback } from './send-callback.js';

/** As many bytes leave at once, even in the middle of a tick. */
const FLUSH_AT = 64 * 1024;

/** A payload of at least this many bytes is not copied: that costs more than a further entry in the vector that is written. */
const COPY_BELOW = 4 * 1024;

type Part = Buffer | string;
type Done = SendCallback | undefined;

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
  readonly bytes: number;
}

/** A string is one of bytes, as `latin1` has it. */
type Item = Part | Share;

const nothing: Item[] = [];

/** As much as this is handed over as a string of bytes, which Node writes without a Buffer being made for it. */
const STRING_UP_TO = 16 * 1024;

/** The outboxes that have something to send in this tick. */
let waiting: Outbox[] = [];

/** While a packet is taken in, what is sent leaves when that is done: the tick's end need not be waited for. */
let isReceiving = false;

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
  /** `nothing` between ticks, for an idle connection should hold nothing. */
  #items = nothing;
  #callbacks: SendCallback[] | undefined;
  #batch: Batch | undefined;
  #closedBytes = 0;
  #scheduled = false;

  constructor(socket: Duplex, encoding: FrameEncoding | undefined) {
    this.#socket = socket;
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
      batch.add(frame);
      for (const outbox of outboxes) if (outbox.#closedBytes >= FLUSH_AT) outbox.flush();
    } else {
      batch.add(frame);
    }
    if (batch.bytes >= FLUSH_AT) flushAll();
  }

  /** What comes next is this connection's own, and has to leave behind what was shared so far. */
  endShare(): void {
    const batch = this.#batch;
    if (!batch) return;
    this.#batch = undefined;
    batch.open--;
    this.#put({ batch, bytes: batch.bytes });
    this.#closedBytes += batch.bytes;
  }

  flush(): void {
    const last = this.#takeLast();
    if (last === undefined) return;
    const items = this.#items;
    const done = this.#callbacks && joinCallbacks(this.#callbacks);
    this.#items = nothing;
    this.#callbacks = undefined;
    this.#closedBytes = 0;
    if (!this.#socket.writable) return done?.(clientGone());
    try {
      if (items.length > 0) corkAndWrite(this.#socket, items, last, done);
      else write(this.#socket, last, done);
    } catch (error) {
      // No stream of Node's throws this; of any other, the rest of what leaves with it should not suffer.
      this.#socket.destroy(error as Error);
      done?.(error as Error);
    }
  }

  /** @internal */
  tickEnded(): void {
    this.#scheduled = false;
    this.flush();
  }

  #beginShare(batch: Batch): void {
    this.endShare();
    if (deskOwner === this) this.#put(clearDesk());
    this.#schedule();
    this.#batch = batch;
    batch.open++;
  }

  /** What was put in last, which no list has to be made for if it is all. */
  #takeLast(): Item | undefined {
    if (deskOwner === this) return clearDesk();
    const batch = this.#batch;
    if (!batch) return this.#items === nothing ? undefined : this.#items.pop();
    this.#batch = undefined;
    batch.open--;
    return batch.upTo(batch.bytes);
  }

  #copy(part: Part): void {
    // A character takes three bytes at the most (a pair of surrogates four).
    const most = typeof part === 'string' ? part.length * 3 : part.length;
    if (deskOwner !== this || deskLength + most > desk.length) {
      if (deskOwner) deskOwner.#put(clearDesk());
      deskOwner = this;
    }
    const length = typeof part === 'string' ? desk.write(part, deskLength) : part.length;
    if (typeof part !== 'string') desk.set(part, deskLength);
    deskLength += length;
    this.#closedBytes += length;
  }

  #keep(part: Buffer): void {
    if (deskOwner === this) this.#put(clearDesk());
    this.#put(part);
    this.#closedBytes += part.length;
  }

  #put(item: Item): void {
    if (this.#items === nothing) this.#items = [item];
    else this.#items.push(item);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (waiting.length === 0 && !isReceiving) process.nextTick(flushAll);
    waiting.push(this);
  }
}

// A program that sends and exits in one tick has sent.
process.on('exit', flushAll);

/** Calls what takes in a packet, and then hands on what was sent meanwhile, to whomever. */
export function flushAfter<This, Args extends unknown[]>(
  takeIn: (this: This, ...args: Args) => void,
  self: This,
  ...args: Args
): void {
  if (isReceiving) return takeIn.apply(self, args);
  isReceiving = true;
  try {
    takeIn.apply(self, args);
  } finally {
    isReceiving = false;
    flushAll();
  }
}

function flushAll(): void {
  if (waiting.length === 1) return waiting.pop()?.tickEnded();
  const outboxes = waiting;
  waiting = [];
  for (const outbox of outboxes) outbox.tickEnded();
}

/** Takes what lies on the desk. */
function clearDesk(): Part {
  const taken =
    deskLength > STRING_UP_TO ? Buffer.from(desk.subarray(0, deskLength)) : desk.toString('latin1', 0, deskLength);
  deskLength = 0;
  deskOwner = undefined;
  return taken;
}

function corkAndWrite(socket: Duplex, items: readonly Item[], last: Item, done: Done): void {
  socket.cork();
  for (const item of items) write(socket, item);
  write(socket, last, done);
  socket.uncork();
}

function write(socket: Duplex, item: Item, done?: Done): void {
  if (typeof item === 'string') socket.write(item, 'latin1', done);
  else if (Buffer.isBuffer(item)) socket.write(item, done);
  else socket.write(item.batch.upTo(item.bytes), done);
}

function clientGone(): DrawbridgeError {
  return new DrawbridgeError('CLIENT_GONE', 'The client went away before this was sent; look at the close code.');
}

function joinCallbacks(callbacks: SendCallback[]): SendCallback {
  if (callbacks.length === 1) return callbacks[0] as SendCallback;
  return (error) => {
    for (const callback of callbacks) callback(error);
  };
}
