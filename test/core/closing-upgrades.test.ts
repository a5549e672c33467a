import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatch, type PendingUpgrade, Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';
import { closeFrame, opcodes } from '../behaviour/frames.js';
import { latch } from '../behaviour/latch.js';
import { knock, type Wire } from '../behaviour/raw.js';

interface Arrival {
  upgrader: Upgrader;
  upgrade: PendingUpgrade;
  wire: Wire;
}

/** An upgrade that has reached a framework, which does with it what it will. */
async function arrival(dispatch: (upgrade: PendingUpgrade, upgrader: Upgrader) => void): Promise<Arrival> {
  const upgrader = new Upgrader();
  const arrived = latch<PendingUpgrade>();
  const server = createServer();
  const decide: Dispatch = (upgrade) => {
    dispatch(upgrade, upgrader);
    arrived.open(upgrade);
  };
  upgrader.attach(server, decide);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const wire = await knock({ port, secure: false, authority: `127.0.0.1:${port}` } as never);
  onTestFinished(() => wire.reset());
  return { upgrader, upgrade: await arrived.promise, wire };
}

/** Begins the framework's own answer, and leaves it at that. */
function beginAnswer({ response }: PendingUpgrade): void {
  response.writeHead(401, { 'Content-Length': 10 });
  response.write('half');
}

/** Whether it has resolved by now. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  return Promise.race([promise.then(() => true), delay(0, false)]);
}

test('closing waits for an answer that has begun', async () => {
  const { upgrader, upgrade, wire } = await arrival(beginAnswer);
  const closed = upgrader.close();
  await delay(20);
  expect(await isDone(closed)).toBe(false);
  upgrade.response.end('a half');
  const response = await wire.lastResponse();
  expect([response.status, response.body.toString()]).toEqual([401, 'halfa half']);
  await closed;
});

test('closing cuts off at the timeout an answer that does not end', async () => {
  const { upgrader, wire } = await arrival(beginAnswer);
  const start = performance.now();
  await upgrader.close({ timeout: 60 });
  expect(performance.now() - start).toBeGreaterThan(55);
  await wire.ending();
});

test('closing waits for an upgrade that is being accepted, and says goodbye to it', async () => {
  const { upgrader, upgrade, wire } = await arrival((upgrade, upgrader) => {
    upgrade.response;
    upgrade.finishResponse = () => {};
    upgrader
      .compile({}, () => {
        throw new Error('No handler should begin when the server is closing.');
      })
      .admit(upgrade, upgrade.request);
  });
  const closed = upgrader.close({ code: 1012, reason: 'soon back' });
  await delay(20);
  expect(await isDone(closed)).toBe(false);
  upgrade.response.end();
  expect((await wire.response()).status).toBe(101);
  const { opcode, payload } = await wire.frame();
  expect([opcode, payload.readUInt16BE(0), payload.toString('utf8', 2)]).toEqual([opcodes.close, 1012, 'soon back']);
  expect(await isDone(closed)).toBe(false);
  wire.send(closeFrame(1012));
  await closed;
});
