import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, ConnectionClosed } from '@drawbridge/core';
import { describe, expect, test, vi } from 'vitest';
import { watchProcess, watchTimers } from './census.js';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { closeFrame, opcodes } from './frames.js';
import { hosts, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { failureOf, meet, meetWire } from './meeting.js';
import { encodings, gather } from './outgoing.js';
import { knock, type Wire } from './raw.js';

const chunk = Buffer.alloc(64 * 1024);

/** Sends to who does not read until the network has taken what it takes, and `amount` bytes wait here. */
async function pileUp(socket: Connection<unknown>, amount: number): Promise<void> {
  for (let i = 0; i < 1_000 && socket.bufferedAmount <= amount; i++) {
    socket.send(chunk);
    await delay(0);
  }
  expect(socket.bufferedAmount).toBeGreaterThan(amount);
}

/** Reads on until the close frame. */
async function closeFrameOf(wire: Wire): Promise<{ code: number; reason: string }> {
  wire.resume();
  for (;;) {
    const { opcode, payload } = await wire.frame();
    if (opcode === opcodes.close) return { code: payload.readUInt16BE(0), reason: payload.toString('utf8', 2) };
  }
}

describe.each(hosts)('$name: drained()', (host) => {
  test('resolves at once while little waits', async () => {
    const { server } = await meetWire(host);
    await server.drained();
    server.send('a little');
    await server.drained();
    expect(server.bufferedAmount).toBeGreaterThanOrEqual(0);
  });

  test('waits for a client that does not read, for all who ask, and not longer', async () => {
    const faults = watchProcess();
    const { client, server } = await meetWire(host);
    client.pause();
    await pileUp(server, 1_000_000);
    let drained = 0;
    const waiting = Array.from({ length: 20 }, () => server.drained().then(() => drained++));
    await delay(50);
    expect(drained).toBe(0);
    client.resume();
    await Promise.all(waiting);
    expect(server.bufferedAmount).toBeLessThan(64 * 1024);
    expect(faults).toEqual([]);
  });

  test('keeps a producer at the pace of its reader', async () => {
    const { client, server } = await meet(host);
    client.pause();
    let sent = 0;
    const produced = (async () => {
      for (; sent < 400; sent++) {
        server.send(chunk);
        await server.drained();
      }
    })();
    await delay(100);
    const whilePaused = sent;
    expect(server.bufferedAmount).toBeLessThan(3 * chunk.length);
    client.resume();
    await produced;
    expect(whilePaused).toBeLessThan(200);
    expect(sent).toBe(400);
  });

  test('waits for what is still being compressed', async () => {
    const { client, server } = await meet(host, { perMessageDeflate: true });
    const got: number[] = [];
    client.on('message', (data: Buffer) => got.push(data.length));
    for (let i = 0; i < 10; i++) server.send(Buffer.alloc(1_000_000, i));
    expect(server.bufferedAmount).toBeGreaterThan(1_000_000);
    await server.drained();
    expect(server.bufferedAmount).toBeLessThan(64 * 1024);
    await vi.waitFor(() => expect(got.length).toBe(10), { interval: 5 });
  });

  test('rejects when the connection ends, before and after', async () => {
    const { client, server } = await meetWire(host);
    client.pause();
    await pileUp(server, 1_000_000);
    const waiting = server.drained();
    server.terminate();
    expect(await failureOf(() => waiting)).toBeInstanceOf(ConnectionClosed);
    expect(await failureOf(() => server.drained())).toMatchObject({ code: 1006, wasClean: false });
  });

  test('gives no producer the illusion that it is read from when the connection is about to end', async () => {
    const produce = async (socket: Connection<unknown>, bytes: number): Promise<never> => {
      for (let i = 0; i < 100_000; i++) {
        socket.send(Buffer.alloc(bytes));
        await socket.drained();
      }
      throw new Error('Nothing else had a turn.');
    };
    const { client, server } = await meetWire(host);
    const failures = [100_000, 1].map((bytes) => failureOf(() => produce(server, bytes)));
    await delay(5);
    client.reset();
    for (const failure of failures) expect(await failure).toBeInstanceOf(ConnectionClosed);

    const next = await meetWire(host);
    next.server.close(1000);
    const failure = failureOf(() => produce(next.server, 0));
    next.client.send(closeFrame(1000));
    expect(await failure).toMatchObject({ code: 1000 });
  });

  test.each([1, 1_000])('comes to an end with a maxBufferedAmount of %i', async (maxBufferedAmount) => {
    const { client, server } = await meetWire(host, { maxBufferedAmount, slowConsumer: 'pause' });
    server.send('');
    await server.drained();
    expect(server.bufferedAmount).toBeLessThan(maxBufferedAmount);
    expect(await client.text()).toBe('');
  });
});

describe.each(hosts)('$name: a client that does not read', (host) => {
  const maxBufferedAmount = 512 * 1024;

  test('is closed with 1013 by default, and sees it when it reads on', async () => {
    const { client, server } = await meetWire(host, { maxBufferedAmount });
    client.pause();
    for (let i = 0; i < 1_000 && server.readyState === server.OPEN; i++) {
      server.send(chunk);
      await delay(0);
    }
    expect(server.readyState).toBe(server.CLOSING);
    expect(server.bufferedAmount).toBeGreaterThan(maxBufferedAmount);
    expect(server.bufferedAmount).toBeLessThan(maxBufferedAmount + 3 * chunk.length);
    expect(await closeFrameOf(client)).toEqual({ code: 1013, reason: 'slow consumer' });
  });

  test('is terminated where the route says so', async () => {
    const { client, server } = await meetWire(host, { maxBufferedAmount, slowConsumer: 'terminate' });
    client.pause();
    for (let i = 0; i < 1_000 && server.readyState === server.OPEN; i++) {
      server.send(chunk);
      await delay(0);
    }
    const givenUp = performance.now();
    expect(await server.closed).toMatchObject({ code: 1006, wasClean: false });
    expect(performance.now() - givenUp).toBeLessThan(2_000);
    client.resume();
    await client.ending();
  });

  test('is waited for where the route says so, until four times the amount', async () => {
    const { client, server } = await meetWire(host, { maxBufferedAmount, slowConsumer: 'pause' });
    client.pause();
    await pileUp(server, 2 * maxBufferedAmount);
    expect(server.readyState).toBe(server.OPEN);
    client.resume();
    await server.drained();
    client.pause();
    for (let i = 0; i < 1_000 && server.readyState === server.OPEN; i++) {
      server.send(chunk);
      await delay(0);
    }
    expect(await server.closed).toMatchObject({ code: 1006 });
  });

  test('has the amount of its own route, and does not disturb its neighbours', async () => {
    const arrived = latch<Connection<unknown>>();
    const site = await serve(host, {
      options: { maxBufferedAmount: 1_000 },
      routes: [
        { path: '/slow', options: { maxBufferedAmount }, handler: arrived.open },
        { path: '/echo', options: { maxBufferedAmount }, handler: echo },
      ],
    });
    const slow = await knock(site, { path: '/slow' });
    await slow.response();
    const neighbour = await knock(site, { path: '/echo' });
    await neighbour.response();
    slow.pause();
    const socket = await arrived.promise;
    for (let i = 0; i < 1_000 && socket.readyState === socket.OPEN; i++) {
      socket.send(chunk);
      neighbour.send(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
      expect(await neighbour.text()).toBe('hi');
    }
    expect(socket.bufferedAmount).toBeGreaterThan(maxBufferedAmount);
    expect(socket.readyState).toBe(socket.CLOSING);
    slow.reset();
  });

  test('is given time to see why, which ends with the connection', async () => {
    const { running } = watchTimers((timer) => timer._idleTimeout === 5_000);
    const { client, server } = await meetWire(host, { maxBufferedAmount });
    running.clear();
    client.pause();
    for (let i = 0; i < 1_000 && server.readyState === server.OPEN; i++) server.send(chunk);
    expect(running.size).toBe(1);
    client.reset();
    await server.closed;
    await vi.waitFor(() => expect(running.size).toBe(0), { interval: 1 });
  });

  test('that has been given up is sent nothing more', async () => {
    const { client, server } = await meetWire(host, { maxBufferedAmount });
    client.pause();
    for (let i = 0; i < 1_000 && server.readyState === server.OPEN; i++) server.send(chunk);
    const { messagesOut } = server;
    const failed = latch<Error | undefined>();
    server.send(chunk, failed.open);
    expect((await failed.promise)?.message).toContain('not open');
    expect(server.messagesOut).toBe(messagesOut);
    client.reset();
  });
});

describe.each(hosts)('$name: the end of a connection', (host) => {
  test('is waited for by as many listeners where the connection is compressed', async () => {
    const { listeners } = await gather(host, encodings);
    const [plain, ...compressed] = listeners.map(({ transport }) => transport.listenerCount('close'));
    expect(compressed).toEqual([plain, plain]);
  });

  test('is told by closed and signal, before and after', async () => {
    const { client, server } = await meet(host);
    const before = server.closed;
    const { signal } = server;
    const fired = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    expect(signal.aborted).toBe(false);
    expect(server.signal).toBe(signal);
    client.close(4002, 'bye');
    const info = { code: 4002, reason: 'bye', wasClean: true };
    expect(await before).toEqual(info);
    expect(await server.closed).toEqual(info);
    await fired;
    expect(signal.reason).toBeInstanceOf(ConnectionClosed);
    expect(signal.reason).toMatchObject(info);
  });

  test('is told by a signal that is asked for afterwards', async () => {
    const { client, server } = await meet(host);
    client.terminate();
    expect(await server.closed).toEqual({ code: 1006, reason: '', wasClean: false });
    expect(server.signal.aborted).toBe(true);
    expect(server.signal.reason).toMatchObject({ code: 1006 });
  });

  test('stops what was given the signal, and that is no failure of the handler', async () => {
    const reported: unknown[] = [];
    const ended: string[] = [];
    const site = await serve(host, {
      options: { onError: (error) => reported.push(error) },
      routes: [
        {
          path: '/timer',
          handler: async ({ signal }) => {
            try {
              await delay(60_000, undefined, { signal });
            } finally {
              ended.push('timer');
            }
          },
        },
        {
          path: '/fetch',
          handler: async ({ signal }) => {
            try {
              await fetch(`http${site.secure ? 's' : ''}://${site.authority}/slow`, { signal });
            } finally {
              ended.push('fetch');
            }
          },
        },
        {
          path: '/loop',
          handler: async (socket) => {
            try {
              for await (const message of socket) socket.send(message);
            } finally {
              ended.push('loop');
            }
          },
        },
      ],
    });
    for (const path of ['/timer', '/loop', ...(site.secure ? [] : ['/fetch'])]) {
      const wire = await knock(site, { path });
      await wire.response();
      wire.reset();
      await vi.waitFor(() => expect(ended).toContain(path.slice(1)), { interval: 2 });
    }
    await delay(5);
    expect(reported).toEqual([]);
  });

  test('leaves the others alone', async () => {
    const site = await serve(host, { routes: [{ path: '/', handler: echo }] });
    const [one, other] = [await dial(site, '/'), await dial(site, '/')];
    one.terminate();
    expect(await exchange(other, 'still here')).toBe('still here');
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(1), { interval: 2 });
    other.terminate();
  });
});
