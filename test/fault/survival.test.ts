import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { WebSocket } from 'ws';
import { frame } from '../behaviour/frames.js';
import { handshake, knock, textFrame, Wire } from '../behaviour/raw.js';
import { violations } from '../behaviour/violations.js';
import { Child } from './child.js';

type Knock = (path: string) => Promise<Wire>;

/** What is done to the server, each of it many times at once. */
const attacks: Record<string, (child: Child, enter: Knock) => Promise<void>> = {
  async 'frames that nobody may send'(_child, enter) {
    for (const path of ['/echo', '/loop', '/stream', '/compressed']) {
      await Promise.all(
        Object.values(violations).map(async ({ send }) => {
          const wire = await enter(path);
          wire.send(...send, textFrame('behind it'));
          await wire.ending();
        }),
      );
    }
  },
  async 'a reset in the middle of a message'(_child, enter) {
    const half = frame('x'.repeat(900), { fin: false }).subarray(0, 500);
    for (const path of ['/echo', '/loop', '/stream', '/push']) {
      const wires = await Promise.all(Array.from({ length: 20 }, () => enter(path)));
      for (const wire of wires) wire.send(textFrame('whole'), half);
      await delay(5);
      for (const wire of wires) wire.reset();
    }
  },
  async 'a reset before, at and after the accept'(child) {
    for (const path of ['/slow', '/echo', '/push']) {
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const wire = await Wire.open({ port: child.port, secure: false });
          wire.send(handshake(child, { path }), textFrame('early'));
          await delay(i);
          wire.reset();
        }),
      );
    }
  },
  async 'half a handshake, and a FIN instead of a close frame'(child, enter) {
    const wires = await Promise.all(Array.from({ length: 20 }, () => Wire.open({ port: child.port, secure: false })));
    for (const wire of wires) {
      wire.send(handshake(child, { path: '/slow' }).slice(0, 60));
      wire.halfClose();
    }
    const open = await Promise.all(Array.from({ length: 20 }, () => enter('/echo')));
    for (const wire of open) wire.halfClose();
    await Promise.all([...wires, ...open].map((wire) => wire.ending()));
  },
  async 'messages that the application is not prepared for'(_child, enter) {
    for (const path of ['/json', '/async-json', '/terminate', '/late', '/to-string', '/unprintable']) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          const wire = await enter(path);
          wire.send(...Array.from({ length: 5 }, () => textFrame('this is not JSON')));
          await delay(10);
          wire.reset();
        }),
      );
    }
  },
  async 'going while the application waits for something'(_child, enter) {
    const wires = await Promise.all(Array.from({ length: 20 }, () => enter('/forgetful')));
    for (const wire of wires) wire.reset();
  },
};

describe.concurrent('a process without error listeners survives', () => {
  test.for(['http', 'express', 'fastify'])('under %s', async (host, { onTestFinished, expect }) => {
    const child = await Child.start('survivor.mjs', [host], onTestFinished);
    const enter: Knock = async (path) => {
      const site = { port: child.port, secure: false, authority: child.authority };
      const wire = await knock(site as never, { path });
      if ((await wire.response()).status !== 101) throw new Error(`${path} should have accepted.`);
      return wire;
    };
    const neighbour = new WebSocket(`ws://${child.authority}/echo`);
    await once(neighbour, 'open');
    for (const [name, attack] of Object.entries(attacks)) {
      await attack(child, enter);
      for (let i = 0; i < 100 && (await child.ask<number>('count')) > 1; i++) await delay(10);
      expect(await child.ask('count'), name).toBe(1);
      neighbour.send(name);
      expect(String((await once(neighbour, 'message'))[0])).toBe(name);
    }
    expect(await child.ask('stop')).toBe('stopped');
    const { code, stderr } = await child.ended();
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/uncaught|unhandled|warning/i);
  });
});
