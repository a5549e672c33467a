import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { frame, opcodes } from '../behaviour/frames.js';
import { handshake } from '../behaviour/raw.js';
import { Child } from './child.js';

const MiB = 1024 * 1024;
const amount = 200 * MiB;
const { binary, pong } = opcodes;

function repeated(...frames: Buffer[]): Buffer {
  const one = Buffer.concat(frames);
  return Buffer.concat(Array.from({ length: Math.ceil(MiB / one.length) }, () => one));
}

const pongs = Buffer.concat(Array.from({ length: 500 }, () => frame(Buffer.alloc(120), { opcode: pong })));

/** About a mebibyte each, to be sent again and again. */
const floods: Record<string, Buffer> = {
  'messages of 64 KiB': repeated(frame(Buffer.alloc(64 * 1024), { opcode: binary })),
  'messages of 1 MB': repeated(frame(Buffer.alloc(1_000_000), { opcode: binary })),
  'messages of 20 bytes': repeated(frame(Buffer.alloc(20), { opcode: binary })),
  'empty messages': repeated(frame('')),
  'small messages among much else': repeated(pongs, frame('x')),
};

/** Sends all of it as fast as it is taken, for so long; gives how much was taken. */
async function flood(child: Child, path: string, part: Buffer, time: number): Promise<number> {
  const socket = connect(child.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(handshake(child, { path }));
  await once(socket, 'data');
  for (let sent = 0; sent < amount; sent += part.length) socket.write(part);
  await Promise.race([once(socket, 'drain'), delay(time)]);
  const taken = socket.bytesWritten - socket.writableLength;
  socket.destroy();
  return taken;
}

describe.concurrent('a flood of 200 MiB costs less than 32 MiB', () => {
  test.for(Object.entries(floods))(
    'of %s, at handlers that take one a second, or none',
    async ([, part], { onTestFinished, expect }) => {
      const child = await Child.start('slow-taker.mjs', [], onTestFinished);
      await flood(child, '/once-a-second', part.subarray(0, 10_000), 100);
      await child.peakGrowth();
      await Promise.all(['/once-a-second', '/never', '/paused'].map((path) => flood(child, path, part, 1_500)));
      const growth = await child.peakGrowth();
      expect(Math.round(growth / MiB)).toBeLessThan(32);
    },
  );

  test('at a handler that is a little too slow all the time', async ({ onTestFinished, expect }) => {
    const child = await Child.start('slow-taker.mjs', [], onTestFinished);
    const part = repeated(frame(Buffer.alloc(60_000), { opcode: binary }));
    await flood(child, '/once-a-millisecond', part, 300);
    await child.peakGrowth();
    const before = await child.ask<number>('taken');
    await flood(child, '/once-a-millisecond', part, 3_000);
    const taken = (await child.ask<number>('taken')) - before;
    const growth = await child.peakGrowth();
    expect(taken * 60_000).toBeGreaterThan(64 * MiB);
    expect(Math.round(growth / MiB)).toBeLessThan(32);
  });
});
