import { createRequire } from 'node:module';
import type { Duplex, Writable } from 'node:stream';
import type { ZlibOptions } from 'node:zlib';
import type { WebSocket } from 'ws';
import * as ws from 'ws';
import { flushAfter, type Outbox } from './outbox.js';

/*
 * What Drawbridge knows of the inside of `ws`, all of it. Nothing here is public there, so each is looked for before it is
 * used; where it is missing the connection does without, slower and right. `test/core/ws-internals.test.ts` says so when a
 * new version of `ws` has moved something.
 */

interface Insides {
  _isServer?: boolean;
  _sender?: SenderInsides;
  _receiver?: ReceiverInsides;
  _extensions?: { 'permessage-deflate'?: DeflateInsides };
}

interface SenderInsides {
  _state?: number;
  _firstFragment?: boolean;
  sendFrame?: (this: SenderInsides, frame: readonly (Buffer | string)[], done?: (error?: Error | null) => void) => void;
  outbox?: Outbox;
}

type WriteDone = (error?: Error | null) => void;

type ReceiverInsides = Writable & {
  _state?: number;
  _masked?: boolean;
  _mask?: Buffer | undefined;
  _payloadLength?: number;
  consume?: (this: ReceiverInsides, length: number) => Buffer;
};

interface DeflateInsides {
  params?: { server_no_context_takeover?: boolean; server_max_window_bits?: number };
  _options?: { zlibDeflateOptions?: ZlibOptions };
  _threshold?: number;
  decompress?: (data: Buffer, fin: boolean, done: (error: Error | null, data?: Buffer) => void) => void;
}

/** `ws` looks for it in the same places, and unmasks with it when it is there. */
const hasBufferUtil = !process.env.WS_NO_BUFFER_UTIL && canLoad('bufferutil');

function canLoad(name: string): boolean {
  try {
    createRequire(import.meta.url)(name);
    return true;
  } catch {
    return false;
  }
}

/** `Sender.frame` is documented in the source of `ws` and exported, but not in its types. */
const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: object): Buffer[] } };

/** A whole message as one frame, unmasked as a server sends it; `rsv1`: it is compressed. */
export function wholeFrame(payload: Buffer, isBinary: boolean, rsv1: boolean): Buffer {
  return Buffer.concat(
    Sender.frame(payload, { fin: true, opcode: isBinary ? 2 : 1, rsv1, mask: false, readOnly: true }),
  );
}

/** How a connection compresses when each message stands by itself. Equal keys compress alike. */
export interface DeflateSettings {
  readonly key: string;
  readonly threshold: number;
  readonly zlib: ZlibOptions;
}

/** Puts the outbox where `ws` hands its frames to the socket. `false` if there is no such place. */
export function sendThrough(socket: WebSocket, outbox: Outbox): boolean {
  const sender = (socket as unknown as Insides)._sender;
  if (typeof sender?.sendFrame !== 'function') return false;
  sender.outbox = outbox;
  sender.sendFrame = pushFrame;
  return true;
}

/** What is sent while `ws` takes in a packet leaves when it has taken it in. */
export function flushAfterPackets(socket: WebSocket): void {
  const receiver = (socket as unknown as Insides)._receiver;
  if (receiver) receiver._write = takeInAndFlush;
}

function takeInAndFlush(this: ReceiverInsides, chunk: Buffer, encoding: BufferEncoding, done: WriteDone): void {
  flushAfter((Object.getPrototypeOf(this) as Writable)._write, this, chunk, encoding, done);
}

function pushFrame(
  this: SenderInsides,
  frame: readonly (Buffer | string)[],
  done?: (error?: Error | null) => void,
): void {
  (this.outbox as Outbox).push(frame, done);
}

/** Whether a whole frame may be put behind what was sent: nothing is being compressed, no message is sent in fragments. */
export function takesWholeFrame(socket: WebSocket): boolean {
  const sender = (socket as unknown as Insides)._sender;
  return sender?._state === 0 && sender._firstFragment === true;
}

/** Whether a message has begun whose last fragment is still to be sent. */
export function isMidMessage(socket: WebSocket): boolean {
  return (socket as unknown as Insides)._sender?._firstFragment === false;
}

/**
 * How a server's shared frame has to be made for this connection; `undefined` where it has to make its own: a client masks,
 * and compression with context depends on all that was sent before.
 */
export function sharedEncoding(socket: WebSocket): 'plain' | DeflateSettings | undefined {
  const { _isServer, _extensions } = socket as unknown as Insides;
  if (!_isServer) return undefined;
  const deflate = _extensions?.['permessage-deflate'];
  if (!deflate) return 'plain';
  if (!deflate.params?.server_no_context_takeover || deflate._threshold === undefined) return undefined;
  const zlib = { ...deflate._options?.zlibDeflateOptions, windowBits: deflate.params.server_max_window_bits ?? 15 };
  return { key: JSON.stringify(zlib), threshold: deflate._threshold, zlib };
}

/**
 * When a connection closes, `ws` ends its receiver twice, and its socket: when the close frame has come, and when the socket
 * ends. For each second end Node makes an Error with a stack that nobody sees, a good part of what a short connection costs.
 */
export function endOnce(socket: WebSocket, transport: Duplex): void {
  const receiver = (socket as unknown as Insides)._receiver;
  if (receiver) receiver.end = endIfOpen as Writable['end'];
  transport.end = endIfOpen as Duplex['end'];
}

function endIfOpen(this: Writable, ...args: unknown[]): Writable {
  if (this.writableEnded && args.length === 0) return this;
  const { end } = Object.getPrototypeOf(this) as Writable;
  return (end as (...args: unknown[]) => Writable).apply(this, args);
}

/**
 * Lets each compressed message wait before it is inflated: a packet of a few kilobytes can hold dozens of messages of a
 * megabyte each, and pausing the socket does not stop `ws` from unpacking what has arrived already.
 */
export function gateInflation(socket: WebSocket, whenRoom: (proceed: (closed: boolean) => void) => void): void {
  const deflate = (socket as unknown as Insides)._extensions?.['permessage-deflate'];
  const decompress = deflate?.decompress;
  if (!deflate || !decompress) return;
  deflate.decompress = (data, fin, done) => {
    whenRoom((closed) => {
      if (closed) return done(new Error('The connection was closed before this message could be unpacked.'));
      decompress.call(deflate, data, fin, done);
    });
  };
}

/** The state of `ws`'s receiver in which it takes a payload from what has arrived. */
const GET_DATA = 4;

/** Below this many bytes the two views cost more than they save. */
const WORDS_FROM = 128;

const noMask = Buffer.alloc(4);

/**
 * Without the native `bufferutil`, `ws` unmasks byte by byte, which is most of what a large message costs. Here it is done
 * four bytes at a time, as the payload is taken, and `ws` is left a mask that changes nothing.
 */
export function unmaskInWords(socket: WebSocket): void {
  const receiver = (socket as unknown as Insides)._receiver;
  if (!hasBufferUtil && receiver?._state !== undefined && receiver.consume) receiver.consume = consumeUnmasked;
}

function consumeUnmasked(this: ReceiverInsides, length: number): Buffer {
  const { consume } = Object.getPrototypeOf(this) as Required<ReceiverInsides>;
  const data = consume.call(this, length);
  if (this._state !== GET_DATA || !this._masked || !this._mask || length < WORDS_FROM) return data;
  unmask(data, this._mask);
  this._mask = noMask;
  return data;
}

/** RFC 6455 section 5.3: each byte is XORed with the byte of the mask at its index modulo four. */
export function unmask(data: Buffer, mask: Buffer): void {
  const unaligned = -data.byteOffset & 3;
  const words = (data.length - unaligned) >> 2;
  const tail = unaligned + words * 4;
  for (let i = 0; i < unaligned; i++) data[i] = (data[i] as number) ^ (mask[i] as number);
  const turned = new Uint8Array([0, 1, 2, 3].map((i) => mask[(i + unaligned) & 3] as number));
  const word = new Int32Array(turned.buffer)[0] as number;
  const view = new Int32Array(data.buffer, data.byteOffset + unaligned, words);
  for (let i = 0; i < words; i++) view[i] = (view[i] as number) ^ word;
  for (let i = tail; i < data.length; i++) data[i] = (data[i] as number) ^ (mask[i & 3] as number);
}
