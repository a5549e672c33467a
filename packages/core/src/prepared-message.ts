import { constants, deflateRawSync, type ZlibOptions } from 'node:zlib';
import { type DeflateSettings, wholeFrame } from './ws-internals.js';

/** How a frame has to be made for a connection: as it is, or compressed without context (RFC 7692 section 7.1.1). */
export type FrameEncoding = 'plain' | DeflateSettings;

/**
 * A message that is encoded and framed once, to be sent to many: `socket.send(prepared)`, or by `upgrader.broadcast`.
 * gorilla/websocket's `PreparedMessage`. Binary data is copied, so what becomes of it afterwards does not matter.
 *
 * @example
 * const tick = new PreparedMessage(JSON.stringify(prices));
 * for (const socket of subscribers) socket.send(tick);
 */
export class PreparedMessage {
  /** Text as a string, anything else as the bytes that it holds. */
  readonly data: string | Buffer;
  readonly isBinary: boolean;
  readonly #payload: Buffer;
  #plain: Buffer | undefined;
  #compressed: Map<DeflateSettings['key'], Buffer> | undefined;

  /** @param options.binary Default: whether `data` is no string. */
  constructor(
    data: string | ArrayBuffer | ArrayBufferView,
    { binary = typeof data !== 'string' }: { binary?: boolean } = {},
  ) {
    this.#payload = copyOf(data);
    this.data = typeof data === 'string' ? data : this.#payload;
    this.isBinary = binary;
  }

  /** @internal Of its payload. */
  get bytes(): number {
    return this.#payload.length;
  }

  /** @internal The whole frame, unmasked as a server sends it. */
  frame(encoding: FrameEncoding): Buffer {
    if (encoding === 'plain' || this.#payload.length < encoding.threshold) {
      this.#plain ??= wholeFrame(this.#payload, this.isBinary, false);
      return this.#plain;
    }
    this.#compressed ??= new Map();
    let frame = this.#compressed.get(encoding.key);
    if (!frame) {
      frame = wholeFrame(deflate(this.#payload, encoding.zlib), this.isBinary, true);
      this.#compressed.set(encoding.key, frame);
    }
    return frame;
  }
}

/** One message by itself, without the empty block at its end (RFC 7692 section 7.2.1). */
function deflate(payload: Buffer, zlib: ZlibOptions): Buffer {
  return deflateRawSync(payload, { ...zlib, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

function copyOf(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return Buffer.from(new Uint8Array(data));
}
