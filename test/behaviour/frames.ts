/** A frame as a client sends it (RFC 6455 section 5.2), each bit the caller's to set. */
export interface FrameShape {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits; 4 is RSV1. */
  reserved?: number;
  masked?: boolean;
  /** What the length field says, where that is not the payload's length. */
  announced?: number | bigint;
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const noMask = Buffer.alloc(4);

/** The bytes of a frame, masked with zeros. */
export function frame(payload: Buffer | string = '', shape: FrameShape = {}): Buffer {
  const { opcode = opcodes.text, fin = true, reserved = 0, masked = true } = shape;
  const body = Buffer.from(payload as string);
  const length = lengthField(shape.announced ?? body.length, masked);
  const first = Buffer.from([(fin ? 0x80 : 0) | (reserved << 4) | opcode]);
  return Buffer.concat([first, length, masked ? noMask : Buffer.alloc(0), body]);
}

/** The payload of a close frame. */
export function closePayload(code: number, reason: Buffer | string = ''): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason as string)]);
}

/** A whole close frame. */
export function closeFrame(code: number, reason?: string): Buffer {
  return frame(closePayload(code, reason), { opcode: opcodes.close });
}

function lengthField(length: number | bigint, masked: boolean): Buffer {
  const mask = masked ? 0x80 : 0;
  if (length < 126) return Buffer.from([mask | Number(length)]);
  if (length < 65536) return Buffer.from([mask | 126, Number(length) >> 8, Number(length) & 0xff]);
  const field = Buffer.alloc(9);
  field[0] = mask | 127;
  field.writeBigUInt64BE(BigInt(length), 1);
  return field;
}
