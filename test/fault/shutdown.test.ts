import { setTimeout as delay } from 'node:timers/promises';
import { describe, type TestContext, test } from 'vitest';
import { WebSocket } from 'ws';
import { frame, opcodes } from '../behaviour/frames.js';
import { knock, type Wire } from '../behaviour/raw.js';
import { Child } from './child.js';

const deadline = 1_500;

/** One that answers the close frame, as a browser does. */
function polite(child: Child): { opened: Promise<void>; closed: Promise<number> } {
  const socket = new WebSocket(`ws://${child.authority}/echo`);
  const opened = new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  return { opened, closed };
}

/** One that does not. */
async function mute(child: Child, onTestFinished: TestContext['onTestFinished']): Promise<Wire> {
  const wire = await knockAt(child);
  onTestFinished(() => wire.reset());
  if ((await wire.response()).status !== 101) throw new Error('It should have been accepted.');
  return wire;
}

function knockAt(child: Child): Promise<Wire> {
  return knock({ port: child.port, secure: false, authority: child.authority } as never, { path: '/echo' });
}

describe.concurrent('SIGTERM with 500 connections, 20 of which ignore the close frame', () => {
  test.for(['http', 'express', 'fastify'])('under %s', async (host, { onTestFinished, expect }) => {
    const child = await Child.start('stoppable.mjs', [host, String(deadline)], onTestFinished);
    const clients = Array.from({ length: 480 }, () => polite(child));
    await Promise.all(clients.map(({ opened }) => opened));
    const wires = await Promise.all(Array.from({ length: 20 }, () => mute(child, onTestFinished)));
    expect(await child.ask('count')).toBe(500);

    const start = performance.now();
    child.signal('SIGTERM');
    expect((await Promise.all(clients.map(({ closed }) => closed))).every((code) => code === 1001)).toBe(true);
    const politeAfter = performance.now() - start;
    for (let i = 0; i < 3; i++) {
      const late = await (await knockAt(child)).lastResponse();
      expect(late.status).toBe(503);
      expect(Number(late.header('retry-after'))).toBeGreaterThan(0);
      await delay(50);
    }
    for (const wire of wires) {
      const { opcode, payload } = await wire.frame();
      expect([opcode, payload.readUInt16BE(0)]).toEqual([opcodes.close, 1001]);
      wire.send(frame('I stay', { opcode: opcodes.text }));
    }
    expect(await child.ended()).toEqual({ code: 0, stderr: '' });
    const endedAfter = performance.now() - start;
    expect(politeAfter).toBeLessThan(deadline);
    expect(endedAfter).toBeGreaterThan(deadline * 0.8);
    expect(endedAfter).toBeLessThan(deadline + 1_500);
  });
});
