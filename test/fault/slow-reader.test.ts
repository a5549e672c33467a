import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { handshake } from '../behaviour/raw.js';
import { Child } from './child.js';

const MiB = 1024 * 1024;
const maxBufferedAmount = 16 * MiB;

/** What became of a push, in bytes and milliseconds; without a code the connection is still open. */
interface Push {
  sent: number;
  stopped?: number;
  code?: number;
  lasted?: number;
}

/** The longest time between two ticks of a neighbour connection. */
class Neighbour {
  longest = 0;
  ticks = 0;
  readonly #socket: WebSocket;
  #last = Number.POSITIVE_INFINITY;

  constructor(child: Child) {
    this.#socket = new WebSocket(`ws://${child.authority}/rhythm`);
    this.#socket.on('message', () => {
      const now = performance.now();
      this.longest = Math.max(this.longest, now - this.#last);
      this.#last = now;
      this.ticks++;
    });
  }

  async begun(): Promise<void> {
    await once(this.#socket, 'message');
  }

  leave(): void {
    this.#socket.terminate();
  }
}

/** Connects, and never reads a byte behind the handshake. */
async function neverRead(child: Child, path: string): Promise<() => void> {
  const socket = connect(child.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(handshake(child, { path }));
  await once(socket, 'readable');
  return () => socket.destroy();
}

/** What has become of the push when its connection has ended, or after so long. */
async function outcome(child: Child, path: string, time: number): Promise<Push | undefined> {
  const end = performance.now() + time;
  for (;;) {
    await delay(100);
    const push = (await child.ask<Record<string, Push>>('pushed'))[path];
    if (push?.code !== undefined || performance.now() > end) return push;
  }
}

describe.concurrent('a client that never reads', () => {
  test.for([
    { path: '/close', code: 1006, least: 4_500, most: 6_500 },
    { path: '/small', code: 1006, least: 4_500, most: 8_000 },
    { path: '/terminate', code: 1006, least: 0, most: 2_500 },
    { path: '/pause', code: undefined, least: 0, most: 0 },
  ])('costs less than maxBufferedAmount and 32 MiB: $path', async (plan, { onTestFinished, expect }) => {
    const { path, code, least, most } = plan;
    const child = await Child.start('pusher.mjs', [], onTestFinished);
    const neighbour = new Neighbour(child);
    onTestFinished(() => neighbour.leave());
    await neighbour.begun();
    await child.peakGrowth();
    const leave = await neverRead(child, path);
    onTestFinished(leave);
    const push = await outcome(child, path, most || 1_000);
    const growth = await child.peakGrowth();
    expect(growth / MiB).toBeLessThan((maxBufferedAmount + 32 * MiB) / MiB);
    expect(push?.code).toBe(code);
    expect(push?.sent).toBeLessThan(maxBufferedAmount + 16 * MiB);
    if (code !== undefined) {
      expect(push?.sent).toBeGreaterThan(maxBufferedAmount);
      expect(push?.lasted).toBeGreaterThan(least);
      expect(push?.lasted).toBeLessThan(most);
    }
    await vi.waitFor(() => expect(neighbour.ticks).toBeGreaterThan(10));
    expect(neighbour.longest).toBeLessThan(300);
  });
});
