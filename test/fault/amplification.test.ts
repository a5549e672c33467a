import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { constants, deflateRawSync } from 'node:zlib';
import { describe, type TestContext, test } from 'vitest';
import { frame, opcodes } from '../behaviour/frames.js';
import { handshake } from '../behaviour/raw.js';
import { Child } from './child.js';

const MiB = 1024 * 1024;
const { binary, continuation } = opcodes;

/** A connection that is open, to be sent bytes. */
async function enter(child: Child, path: string, onTestFinished: TestContext['onTestFinished']): Promise<Socket> {
  const socket = connect({ port: child.port, host: '127.0.0.1', noDelay: true });
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  const headers = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
  socket.write(handshake(child, { path, headers }));
  await once(socket, 'data');
  socket.resume();
  return socket;
}

/** A message of a mebibyte of zeros, compressed as permessage-deflate has it (RFC 7692 section 7.2.1). */
function bomb(): Buffer {
  const deflated = deflateRawSync(Buffer.alloc(MiB), { finishFlush: constants.Z_SYNC_FLUSH });
  return frame(deflated.subarray(0, -4), { opcode: binary, reserved: 4 });
}

async function written(socket: Socket, bytes: Buffer): Promise<void> {
  await new Promise((resolve) => socket.write(bytes, resolve));
}

/** What a process holds after a garbage collection. */
async function heldBy(child: Child): Promise<number> {
  const { heapUsed, external } = await child.memory();
  return heapUsed + external;
}

interface Attack {
  path: string;
  connections: number;
  /** Sends it to one connection; gives how many bytes that were. */
  run(socket: Socket): Promise<number>;
}

const attacks: Record<string, Attack> = {
  'messages of a thousand tiny fragments that never end': {
    path: '/taking',
    connections: 30,
    async run(socket) {
      const start = frame('x', { opcode: binary, fin: false });
      const rest = Array.from({ length: 1_022 }, () => frame('x', { opcode: continuation, fin: false }));
      const bytes = Buffer.concat([start, ...rest]);
      await written(socket, bytes);
      return bytes.length;
    },
  },
  'one message, byte by byte': {
    path: '/taking',
    connections: 10,
    async run(socket) {
      await written(socket, frame('', { opcode: binary, announced: MiB }));
      for (let i = 0; i < 4_000; i++) await written(socket, Buffer.alloc(1));
      return 4_000;
    },
  },
  'compression bombs that nobody takes': {
    path: '/compressed',
    connections: 1,
    async run(socket) {
      const bytes = Buffer.concat(Array.from({ length: 300 }, bomb));
      await written(socket, bytes);
      return bytes.length;
    },
  },
  'compression bombs, the first of which is taken': {
    path: '/compressed-loop',
    connections: 1,
    async run(socket) {
      const bytes = Buffer.concat(Array.from({ length: 300 }, bomb));
      await written(socket, bytes);
      return bytes.length;
    },
  },
  'empty messages that nobody takes': {
    path: '/never',
    connections: 4,
    async run(socket) {
      const bytes = Buffer.concat(Array.from({ length: 10_000 }, () => frame('')));
      await written(socket, bytes);
      return bytes.length;
    },
  },
  'messages of a byte that nobody takes': {
    path: '/never',
    connections: 4,
    async run(socket) {
      const bytes = Buffer.concat(Array.from({ length: 10_000 }, () => frame('x')));
      await written(socket, bytes);
      return bytes.length;
    },
  },
};

describe.concurrent('a few hundred kilobytes on the wire hold no tens of mebibytes', () => {
  test.for(Object.entries(attacks))('%s', async ([, { path, connections, run }], { onTestFinished, expect }) => {
    const child = await Child.start('patient.mjs', [], onTestFinished);
    const sockets = await Promise.all(Array.from({ length: connections }, () => enter(child, path, onTestFinished)));
    const before = await heldBy(child);
    await child.peakGrowth();
    const sent = await Promise.all(sockets.map(run));
    await delay(300);
    const held = (await heldBy(child)) - before;
    const growth = await child.peakGrowth();
    const total = sent.reduce((sum, one) => sum + one, 0);
    expect(total).toBeLessThan(500_000);
    expect(await child.ask('count')).toBe(connections);
    expect(held / MiB).toBeLessThan(10);
    expect(growth / MiB).toBeLessThan(32);
  });
});
