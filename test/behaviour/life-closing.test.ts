import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { watchProcess } from './census.js';
import { dial } from './client.js';
import { echo } from './echo.js';
import { closeFrame, opcodes } from './frames.js';
import { hosts, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { failureOf } from './meeting.js';
import { knock } from './raw.js';

/** When and how a client's connection was closed. */
interface Ending {
  code: number;
  reason: string;
  at: number;
}

async function client(site: Site, path = '/'): Promise<{ socket: WebSocket; ending: Promise<Ending> }> {
  const socket = await dial(site, path);
  const ending = new Promise<Ending>((resolve) =>
    socket.once('close', (code, reason) => resolve({ code, reason: String(reason), at: performance.now() })),
  );
  return { socket, ending };
}

describe.each(hosts)('$name: closing', (host) => {
  test('tells everybody 1001, resolves when they have gone, and then the server closes, too', async () => {
    const site = await serve(host, { routes: [{ path: '/', handler: echo }] });
    const endings = (await Promise.all(Array.from({ length: 10 }, () => client(site)))).map(({ ending }) => ending);
    expect(site.upgrader.closing).toBe(false);
    const closed = site.upgrader.close();
    expect(site.upgrader.closing).toBe(true);
    expect((await Promise.all(endings)).map(({ code }) => code)).toEqual(Array(10).fill(1001));
    await closed;
    expect(site.upgrader.connections.size).toBe(0);
    await new Promise((resolve) => site.server.close(resolve));
  });

  test('says the code and the reason that it was given', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const { ending } = await client(site);
    await site.upgrader.close({ code: 1012, reason: 'back in a minute' });
    expect(await ending).toMatchObject({ code: 1012, reason: 'back in a minute' });
  });

  test('gives new upgrades 503 with Retry-After from the first moment, and those who wait for a decision', async () => {
    const decided = latch();
    const waitingFor = latch();
    const site = await serve(host, {
      routes: [
        { path: '/' },
        {
          path: '/waiting',
          gates: [
            () => {
              waitingFor.open();
              return decided.promise;
            },
          ],
        },
      ],
    });
    const straggler = await knock(site, { path: '/' });
    await straggler.response();
    const waiting = await knock(site, { path: '/waiting' });
    await waitingFor.promise;
    const closed = site.upgrader.close();
    const late = await knock(site, { path: '/' });
    for (const wire of [late, waiting]) {
      const response = await wire.lastResponse();
      expect(response.status).toBe(503);
      expect(Number(response.header('retry-after'))).toBeGreaterThan(0);
    }
    decided.open();
    expect((await straggler.frame()).opcode).toBe(opcodes.close);
    straggler.send(closeFrame(1001));
    await closed;
    expect((await (await knock(site, { path: '/' })).lastResponse()).status).toBe(503);
  });

  test('cuts off at the timeout who does not answer, and nobody before', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const mute = await knock(site, { path: '/' });
    await mute.response();
    const start = performance.now();
    await site.upgrader.close({ timeout: 100 });
    expect(performance.now() - start).toBeGreaterThan(95);
    expect(performance.now() - start).toBeLessThan(1_000);
    expect((await mute.frame()).payload.readUInt16BE(0)).toBe(1001);
    await mute.ending();
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('waits for handlers that still run, but not longer than the timeout', async () => {
    const finish = latch();
    const site = await serve(host, {
      routes: [
        {
          path: '/',
          handler: async (socket) => {
            await socket.closed;
            await finish.promise;
          },
        },
      ],
    });
    const { ending } = await client(site);
    let resolved = false;
    const closed = site.upgrader.close({ timeout: 5_000 }).then(() => {
      resolved = true;
    });
    await ending;
    await delay(30);
    expect(resolved).toBe(false);
    finish.open();
    await closed;

    const other = await serve(host, { routes: [{ path: '/', handler: () => new Promise(() => {}) }] });
    await client(other);
    await other.upgrader.close({ timeout: 50 });
    expect(other.upgrader.connections.size).toBe(0);
  });

  test('is spread evenly where that is asked for', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(site)));
    const start = performance.now();
    await site.upgrader.close({ spread: 200 });
    const times = (await Promise.all(clients.map(({ ending }) => ending))).map(({ at }) => at - start);
    times.sort((a, b) => a - b);
    const during = (from: number, to: number) => times.filter((time) => time >= from && time < to).length;
    expect(times[0]).toBeLessThan(60);
    expect(times[19]).toBeGreaterThan(150);
    expect(during(0, 100)).toBeGreaterThanOrEqual(6);
    expect(during(100, 1_000)).toBeGreaterThanOrEqual(6);
  });

  test('takes those who end by themselves meanwhile as they come', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const clients = await Promise.all(Array.from({ length: 10 }, () => client(site)));
    const closed = site.upgrader.close({ spread: 100 });
    for (const { socket } of clients) socket.terminate();
    await closed;
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('is done once', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const { ending } = await client(site);
    const first = site.upgrader.close({ code: 1001 });
    const second = site.upgrader.close({ code: 1012, timeout: 0 });
    expect(second).toBe(first);
    expect((await ending).code).toBe(1001);
    await first;
    await site.upgrader.close();
  });

  test.each([
    { timeout: -1 },
    { timeout: Number.NaN },
    { spread: -1 },
    { spread: 200, timeout: 100 },
    { code: 1006 },
    { code: 999 },
    { code: 2000 },
    { reason: 'x'.repeat(124) },
  ])('with %o is INVALID_OPTION, and closes nothing', async (options) => {
    const faults = watchProcess();
    const site = await serve(host, { routes: [{ path: '/', handler: echo }] });
    const { socket } = await client(site);
    expect(await failureOf(() => site.upgrader.close(options))).toMatchObject({ code: 'INVALID_OPTION' });
    expect(site.upgrader.closing).toBe(false);
    await delay(20);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    await site.upgrader.close();
    expect(faults).toEqual([]);
  });

  test('leaves nothing of an upgrade whose check never ends', async () => {
    const faults = watchProcess();
    const begun = latch();
    const site = await serve(host, {
      routes: [
        {
          path: '/',
          gates: [
            async () => {
              begun.open();
              await new Promise(() => {});
            },
          ],
        },
      ],
    });
    const wire = await knock(site, { path: '/' });
    await begun.promise;
    await site.upgrader.close({ timeout: 50 });
    await wire.ending();
    await vi.waitFor(() => expect(site.sockets.size).toBe(0), { timeout: 3_000, interval: 5 });
    expect(faults).toEqual([]);
  });
});
