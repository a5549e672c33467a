import { closePayload, type FrameShape, frame, opcodes } from './frames.js';

export interface Violation {
  send: Buffer[];
  code: number;
}

function violation(code: number, payload: Buffer | string, shape: FrameShape, ...rest: Buffer[]): Violation {
  return { send: [frame(payload, shape), ...rest], code };
}

const { text, binary, continuation, close, ping } = opcodes;
const start = frame('begin', { fin: false });

/** What no client may send, and what it is told (RFC 6455 sections 5, 7.4 and 8.1). */
export const violations: Record<string, Violation> = {
  'a reserved bit': violation(1002, 'x', { reserved: 2 }),
  'another reserved bit': violation(1002, 'x', { reserved: 1 }),
  'compression that was not agreed on': violation(1002, 'x', { reserved: 4 }),
  'no mask': violation(1002, 'x', { masked: false }),
  'an unknown opcode': violation(1002, 'x', { opcode: 3 }),
  'an unknown control opcode': violation(1002, 'x', { opcode: 11 }),
  'a continuation of nothing': violation(1002, 'x', { opcode: continuation }),
  'a message within another': { send: [start, frame('x')], code: 1002 },
  'a ping in fragments': violation(1002, 'x', { opcode: ping, fin: false }),
  'a ping that is too long': violation(1002, Buffer.alloc(126), { opcode: ping }),
  'a close frame of one byte': violation(1002, 'x', { opcode: close }),
  'a close code that nobody may send': violation(1002, closePayload(1005), { opcode: close }),
  'a close code out of range': violation(1002, closePayload(999), { opcode: close }),
  'a close reason that is not UTF-8': violation(1007, closePayload(1000, Buffer.from([0xff])), { opcode: close }),
  'text that is not UTF-8': violation(1007, Buffer.from([0xc3, 0x28]), { opcode: text }),
  'half a surrogate': violation(1007, Buffer.from([0xed, 0xa0, 0x80]), { opcode: text }),
  'UTF-8 that breaks off': {
    send: [frame(Buffer.from([0xe2, 0x82]), { fin: false }), frame('', { opcode: 0 })],
    code: 1007,
  },
  'a message that is too big': violation(1009, Buffer.alloc(1_001), { opcode: binary }),
  'a message that says it will be too big': violation(1009, 'x', { announced: 1_001 }),
  'a message that is too big altogether': {
    send: [frame(Buffer.alloc(600), { fin: false }), frame(Buffer.alloc(600), { opcode: continuation })],
    code: 1009,
  },
  'a length beyond all numbers': violation(1009, 'x', { announced: 2n ** 63n - 1n }),
  'too many fragments': {
    send: [start, ...Array.from({ length: 10 }, () => frame('', { opcode: continuation, fin: false }))],
    code: 1008,
  },
};

/** Of the route that the violations are meant for. */
export const limits = { maxPayload: 1_000, maxFragments: 10 };
