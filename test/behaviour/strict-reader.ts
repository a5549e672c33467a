import { createHash } from 'node:crypto';
import { constants, inflateRawSync } from 'node:zlib';
import { opcodes } from './frames.js';

/** How the server's messages are compressed: not at all, with all that came before as context, or each by itself. */
export type Encoding = 'plain' | 'context' | 'contextless';

interface StrictFrame {
  fin: boolean;
  /** The three reserved bits; 4 is RSV1. */
  reserved: number;
  opcode: number;
  payload: Buffer;
}

const controls: Record<number, string> = { [opcodes.ping]: 'ping', [opcodes.pong]: 'pong' };
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What a compressed message ends with, and leaves out (RFC 7692 section 7.2.1). */
const tail = Buffer.from([0, 0, 0xff, 0xff]);
const windowSize = 32 * 1024;

/**
 * What a client is told by these bytes, in their order; throws at the first that RFC 6455 or RFC 7692 does not let a server
 * send. Each message is told as `shown` shows it, and each fragment before its last as `fragment`; `cut off` stands for a
 * frame that is not whole.
 */
export function readStrictly(bytes: Buffer, encoding: Encoding): string[] {
  const reader = new StrictReader(encoding);
  let rest = bytes;
  while (rest.length > 0) {
    const taken = parseFrame(rest);
    if (!taken) return [...reader.told, 'cut off'];
    reader.take(taken.frame);
    rest = rest.subarray(taken.length);
  }
  return reader.told;
}

/** A message in few words, which differ for whatever is different. */
export function shown(data: string | Buffer, isBinary = typeof data !== 'string'): string {
  const bytes = Buffer.from(data as string);
  const kind = isBinary ? 'binary' : 'text';
  if (bytes.length < 20) return `${kind} ${bytes}`;
  const digest = createHash('sha1').update(bytes).digest('hex').slice(0, 8);
  return `${kind} ${bytes.toString('latin1', 0, 6)}… ${bytes.length} ${digest}`;
}

class StrictReader {
  readonly told: string[] = [];
  readonly #encoding: Encoding;
  #context = Buffer.alloc(0);
  #message: { opcode: number; isCompressed: boolean; parts: Buffer[] } | undefined;
  #isClosed = false;

  constructor(encoding: Encoding) {
    this.#encoding = encoding;
  }

  take(frame: StrictFrame): void {
    if (this.#isClosed) throw this.#wrong('a frame behind the close frame');
    if (frame.reserved & 3) throw this.#wrong('a reserved bit that nothing has given a meaning');
    if (frame.opcode >= 8) this.#takeControl(frame);
    else this.#takeData(frame);
  }

  #takeControl({ fin, reserved, opcode, payload }: StrictFrame): void {
    if (!fin || reserved || payload.length > 125) throw this.#wrong('a control frame that is none');
    if (opcode === opcodes.close) return this.#takeClose(payload);
    const name = controls[opcode];
    if (!name) throw this.#wrong(`the opcode ${opcode}`);
    this.told.push(`${name} ${payload}`);
  }

  #takeClose(payload: Buffer): void {
    if (payload.length === 1) throw this.#wrong('half a close code');
    this.#isClosed = true;
    this.told.push(
      `close ${payload.length ? payload.readUInt16BE(0) : 1005} ${utf8.decode(payload.subarray(2))}`.trim(),
    );
  }

  #takeData({ fin, reserved, opcode, payload }: StrictFrame): void {
    if (this.#message && (opcode !== opcodes.continuation || reserved)) {
      throw this.#wrong('a message in the midst of another');
    }
    this.#message ??= this.#begin(opcode, reserved === 4);
    this.#message.parts.push(payload);
    if (!fin) return void this.told.push('fragment');
    const { parts, isCompressed } = this.#message;
    const isBinary = this.#message.opcode === opcodes.binary;
    this.#message = undefined;
    const whole = Buffer.concat(parts);
    const data = isCompressed ? this.#inflate(whole) : whole;
    this.told.push(shown(isBinary ? data : utf8.decode(data), isBinary));
  }

  #begin(opcode: number, isCompressed: boolean): { opcode: number; isCompressed: boolean; parts: Buffer[] } {
    if (opcode !== opcodes.text && opcode !== opcodes.binary) throw this.#wrong(`a message with the opcode ${opcode}`);
    if (isCompressed && this.#encoding === 'plain') throw this.#wrong('a compressed message');
    return { opcode, isCompressed, parts: [] };
  }

  #inflate(payload: Buffer): Buffer {
    // What is left of the block before the tail are three bits of zero, and their padding.
    if (payload.at(-1) === 0xff) throw this.#wrong('a compressed message with its tail');
    const data = inflateRawSync(Buffer.concat([payload, tail]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#context.length > 0 && { dictionary: this.#context }),
    });
    if (this.#encoding === 'context') this.#context = Buffer.concat([this.#context, data]).subarray(-windowSize);
    return data;
  }

  #wrong(what: string): Error {
    return new Error(`The server sent ${what}, after: ${this.told.slice(-5).join(', ')}`);
  }
}

/** The first frame of these bytes, if it is whole. */
function parseFrame(bytes: Buffer): { frame: StrictFrame; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const [first, second] = [bytes.readUInt8(0), bytes.readUInt8(1)];
  if (second & 0x80) throw new Error('The server sent a masked frame.');
  const start = second < 126 ? 2 : second === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const size = second < 126 ? second : second === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if ((second === 126 && size < 126) || (second === 127 && size < 65536)) {
    throw new Error(`The server sent a length of ${size} in more bytes than it needs.`);
  }
  if (bytes.length < start + size) return undefined;
  return {
    frame: {
      fin: (first & 0x80) !== 0,
      reserved: (first >> 4) & 7,
      opcode: first & 15,
      payload: bytes.subarray(start, start + size),
    },
    length: start + size,
  };
}
