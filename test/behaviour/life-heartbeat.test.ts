import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { watchTimers } from './census.js';
import { dial } from './client.js';
import { echo } from './echo.js';
import { frame, opcodes } from './frames.js';
import { type Host, hosts, serve } from './hosts/index.js';
import { meet, meetWire } from './meeting.js';
import { knock, textFrame, type Wire } from './raw.js';

const { ping, pong } = opcodes;
const interval = 50;
const timeout = 50;
const heartbeat = { interval, timeout };

/** How many pings have come in the meantime, and nothing else. */
async function pingsDuring(time: number, wire: Wire, meanwhile: () => void = () => {}): Promise<number> {
  const end = performance.now() + time;
  while (performance.now() < end) {
    await delay(10);
    meanwhile();
  }
  let pings = 0;
  for (; wire.unread.length > 0; pings++) expect((await wire.frame()).opcode).toBe(ping);
  return pings;
}

/** These tests are mostly waiting, so the hosts wait together. */
async function onEveryHost(run: (host: Host) => Promise<void>): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      try {
        await run(host);
      } catch (cause) {
        throw new Error(`On ${host.name}: ${(cause as Error).message}`, { cause });
      }
    }),
  );
}

function keepBusy(time: number): void {
  const end = performance.now() + time;
  while (performance.now() < end);
}

describe('on every host the heartbeat', () => {
  test('terminates who shows no life, within interval and timeout, and not before', () =>
    onEveryHost(async (host) => {
      const { client, server } = await meetWire(host, { heartbeat });
      const start = performance.now();
      expect((await client.frame()).opcode).toBe(ping);
      const pinged = performance.now() - start;
      expect(await server.closed).toEqual({ code: 1006, reason: '', wasClean: false });
      const ended = performance.now() - start;
      await client.ending();
      expect(pinged).toBeGreaterThan(interval * 0.5);
      expect(ended).toBeGreaterThan((interval + timeout) * 0.65);
      expect(ended).toBeLessThan(interval + timeout + 300);
    }));

  test('lets live who answers, and pings once an interval', () =>
    onEveryHost(async (host) => {
      const { client, server } = await meet(host, { heartbeat });
      let pings = 0;
      client.on('ping', () => pings++);
      await delay(6 * interval);
      expect(server.readyState).toBe(server.OPEN);
      expect(pings).toBeGreaterThanOrEqual(3);
      expect(pings).toBeLessThanOrEqual(7);
    }));

  test('does not ping who sends something: messages, pongs that nobody asked for, bytes of one long message', () =>
    onEveryHost(async (host) => {
      const { client, site } = await meetWire(host, { heartbeat });
      const [pongs, bytes] = [await knock(site, { path: '/' }), await knock(site, { path: '/' })];
      await Promise.all([pongs.response(), bytes.response()]);
      bytes.send(frame('', { announced: 100_000 }));
      const pings = await Promise.all([
        pingsDuring(5 * interval, client, () => client.send(textFrame('x'))),
        pingsDuring(5 * interval, pongs, () => pongs.send(frame('', { opcode: pong }))),
        pingsDuring(5 * interval, bytes, () => bytes.send(Buffer.alloc(1))),
      ]);
      expect(pings).toEqual([0, 0, 0]);
      expect(site.upgrader.connections.size).toBe(3);
    }));

  test('is set route by route, and may be none', () =>
    onEveryHost(async (host) => {
      const site = await serve(host, {
        options: { heartbeat: { interval: 40, timeout: 10_000 } },
        routes: [
          { path: '/as-the-upgrader-says' },
          { path: '/none', options: { heartbeat: false } },
          { path: '/default', options: { heartbeat: true } },
          { path: '/slow', options: { heartbeat: { interval: 5_000 } } },
        ],
      });
      const pings = async (path: string): Promise<number> => {
        const wire = await knock(site, { path });
        await wire.response();
        return pingsDuring(150, wire);
      };
      const counts = await Promise.all(['/as-the-upgrader-says', '/none', '/default', '/slow'].map(pings));
      expect(counts).toEqual([1, 0, 0, 0]);
      expect(site.upgrader.connections.size).toBe(4);
    }));

  test('lets live who reads a backlog slowly', () =>
    onEveryHost(async (host) => {
      const { client, server } = await meet(host, {
        heartbeat: { interval: 100, timeout: 100 },
        maxBufferedAmount: 64 * 1024 * 1024,
      });
      client.on('message', () => client.pause());
      const chunk = Buffer.alloc(64 * 1024);
      for (let i = 0; i < 600; i++) server.send(chunk);
      const reading = setInterval(() => client.resume(), 4);
      await delay(450);
      clearInterval(reading);
      expect(server.readyState).toBe(server.OPEN);
      expect(server.bufferedAmount).toBeGreaterThan(1_000_000);
    }));

  test('cuts nobody off for the time that the process did not run', () =>
    onEveryHost(async (host) => {
      const { client, server } = await meet(host, { heartbeat });
      let stalls = 0;
      client.on('ping', () => {
        stalls++;
        keepBusy(3 * timeout);
      });
      await vi.waitFor(() => expect(stalls).toBe(2), { timeout: 5_000, interval: 5 });
      await delay(timeout / 2);
      expect(server.readyState).toBe(server.OPEN);
    }));

  test('notices that a client has gone whose messages nobody takes', () =>
    onEveryHost(async (host) => {
      const { client, server, site } = await meetWire(host, { heartbeat, maxQueuedMessages: 2 });
      client.send(...Array.from({ length: 20_000 }, () => textFrame('x'.repeat(100))));
      await vi.waitFor(() => expect(server.isPaused).toBe(true), { interval: 2 });
      await delay(2 * (interval + timeout));
      expect(server.readyState).toBe(server.OPEN);
      client.reset();
      expect(await server.closed).toMatchObject({ code: 1006 });
      expect(site.upgrader.connections.size).toBe(0);
    }));
});

describe('on every host idleTimeout', () => {
  test('closes with 4408 who has sent and got no message for so long, pings or no', () =>
    onEveryHost(async (host) => {
      const { client, server } = await meetWire(host, { idleTimeout: 100 });
      const start = performance.now();
      const pings = setInterval(() => client.send(frame('', { opcode: ping })), 20);
      let last = await client.frame();
      while (last.opcode === pong) last = await client.frame();
      clearInterval(pings);
      expect(last.opcode).toBe(opcodes.close);
      expect([last.payload.readUInt16BE(0), last.payload.toString('utf8', 2)]).toEqual([4408, 'idle']);
      expect(performance.now() - start).toBeGreaterThan(90);
      expect(server.readyState).toBe(server.CLOSING);
    }));

  test.each([
    ['sends', (wire: Wire) => wire.send(textFrame('x'))],
    ['is sent', () => {}],
  ])('lets live who %s a message now and then', (what, act) =>
    onEveryHost(async (host) => {
      const { client, server } = await meetWire(host, { idleTimeout: 100 });
      const end = performance.now() + 250;
      while (performance.now() < end) {
        act(client);
        if (what === 'is sent') server.send('x');
        await delay(30);
      }
      expect(server.readyState).toBe(server.OPEN);
      await vi.waitFor(() => expect(server.readyState).toBe(server.CLOSING), { interval: 5 });
    }),
  );

  test('does not cut off a message that is being sent', () =>
    onEveryHost(async (host) => {
      const { server } = await meetWire(host, { idleTimeout: 100 });
      const end = performance.now() + 250;
      while (performance.now() < end) {
        server.send('x', { fin: false });
        await delay(30);
      }
      expect(server.readyState).toBe(server.OPEN);
      server.send('x');
      await vi.waitFor(() => expect(server.readyState).toBe(server.CLOSING), { interval: 5 });
    }));

  test('needs no heartbeat, and is none by default', () =>
    onEveryHost(async (host) => {
      const { server } = await meet(host, { idleTimeout: 50, heartbeat: false });
      expect(await server.closed).toMatchObject({ code: 4408 });
      const site = await serve(host, { routes: [{ path: '/' }] });
      const client = await dial(site, '/');
      await delay(100);
      expect(client.readyState).toBe(client.OPEN);
      client.terminate();
    }));
});

describe.each(hosts)('$name: the heartbeat', (host) => {
  test('is one timer for all connections', async () => {
    const site = await serve(host, {
      options: { heartbeat: { interval: 20_000 } },
      routes: [{ path: '/', handler: echo }],
    });
    const first = await dial(site, '/');
    const { running, stop } = watchTimers();
    const clients = await Promise.all(Array.from({ length: 50 }, () => dial(site, '/')));
    await vi.waitFor(() => expect(running.size).toBeLessThan(10), { timeout: 2_000, interval: 20 });
    stop();
    expect(site.upgrader.connections.size).toBe(51);
    for (const client of [first, ...clients]) client.terminate();
  });
});
