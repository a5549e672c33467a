import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { closeFrame } from '../behaviour/frames.js';
import { handshake, textFrame } from '../behaviour/raw.js';
import { Child } from './child.js';

const KiB = 1024;
const paths = ['/events', '/loop', '/receive'];

const message = textFrame('hello');
const farewell = closeFrame(1000);

/** Comes, sends a message, gets it back and goes: politely, by a reset, or by a FIN. */
function visit(child: Child, i: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(child.port, '127.0.0.1');
    let heard = '';
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.write(Buffer.concat([Buffer.from(handshake(child, { path: paths[i % 3] as string })), message]));
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (!heard.endsWith('hello')) return;
      if (i % 4 === 0) socket.resetAndDestroy();
      else if (i % 4 === 1) socket.end();
      else socket.write(farewell);
    });
  });
}

async function visits(child: Child, count: number): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    while (next < count) await visit(child, next++);
  };
  await Promise.all(Array.from({ length: 40 }, one));
}

/** What the process keeps once all have gone. */
async function keptBy(child: Child): Promise<{ kept: unknown; heap: number }> {
  for (let i = 0; i < 100 && (await child.ask<number>('count')) > 0; i++) await delay(10);
  const { heapUsed, external } = await child.memory();
  return { kept: await child.ask('kept'), heap: heapUsed + external };
}

describe.concurrent('of connections that came and went nothing is left', () => {
  test('of 20,000 under http', { timeout: 60_000 }, async ({ onTestFinished, expect }) => {
    const child = await Child.start('turnover.mjs', ['http'], onTestFinished);
    // By then everything has been compiled that will be, which is on the heap as well.
    await visits(child, 3_000);
    const before = await keptBy(child);
    await visits(child, 20_000);
    const after = await keptBy(child);
    expect(after.kept).toEqual(before.kept);
    expect((after.heap - before.heap) / KiB).toBeLessThan(1_024);
  });

  test.for(['express', 'fastify'])('of 500 under %s', { timeout: 60_000 }, async (host, { onTestFinished, expect }) => {
    const child = await Child.start('turnover.mjs', [host], onTestFinished);
    await visits(child, 100);
    const before = await keptBy(child);
    await visits(child, 500);
    expect((await keptBy(child)).kept).toEqual(before.kept);
  });
});
