import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, ConnectionClosed } from '@drawbridge/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { watchProcess } from './census.js';
import { dial } from './client.js';
import { closeFrame, frame, opcodes } from './frames.js';
import { hosts, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { handshake, knock, textFrame, Wire } from './raw.js';

type Consumer = (socket: Connection<unknown>, take: (message: string) => void) => Promise<unknown>;

/** Every way to consume messages; each ends when there are no more. */
const consumers: Record<string, Consumer> = {
  "on('message')": (socket, take) => {
    socket.on('message', (data) => take(String(data)));
    return socket.closed;
  },
  onmessage: (socket, take) => {
    socket.onmessage = ({ data }) => take(String(data));
    return socket.closed;
  },
  addEventListener: (socket, take) => {
    socket.addEventListener('message', ({ data }) => take(String(data)));
    return socket.closed;
  },
  'once, again and again': (socket, take) => {
    const next = (data: unknown): void => {
      take(String(data));
      socket.once('message', next);
    };
    socket.once('message', next);
    return socket.closed;
  },
  'for await': async (socket, take) => {
    for await (const message of socket) take(message as string);
  },
  'a slow for await': async (socket, take) => {
    for await (const message of socket) {
      take(message as string);
      if (Number(message) % 500 === 0) await delay(1);
    }
  },
  receive: async (socket, take) => {
    try {
      for (;;) take((await socket.receive()) as string);
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) throw error;
    }
  },
  stream: async (socket, take) => {
    for await (const message of socket.stream({ readableObjectMode: true })) take(message);
  },
  'a slow stream': async (socket, take) => {
    for await (const message of socket.stream({ readableObjectMode: true })) {
      take(message);
      if (Number(message) % 500 === 0) await delay(1);
    }
  },
};

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i));
}

function expectAll(got: readonly string[] = [], sent: readonly string[], name: string): void {
  const different = sent.findIndex((text, i) => got[i] !== text);
  expect({ count: got.length, different }, name).toEqual({ count: sent.length, different: -1 });
}

/** The handlers of this site may never come to an end. */
async function serveEndless(...given: Parameters<typeof serve>): Promise<Site> {
  const site = await serve(...given);
  onTestFinished(() => site.upgrader.close({ timeout: 0 }));
  return site;
}

/** What each consumer got of what its client sent together with the handshake, when it began after `pause`. */
async function whatEachGot(
  site: (routes: { path: string; handler: (socket: Connection<unknown>) => Promise<void> }[]) => Promise<Site>,
  sent: readonly Buffer[],
  pause: (socket: Connection<unknown>) => Promise<unknown>,
): Promise<Record<string, string[]>> {
  const got: Record<string, string[]> = {};
  const names = Object.keys(consumers);
  const ended = names.map(() => latch());
  const { port, secure, authority } = await site(
    names.map((name, i) => ({
      path: `/${i}`,
      handler: async (socket) => {
        await pause(socket);
        const messages: string[] = [];
        got[name] = messages;
        await consumers[name]?.(socket, (message) => messages.push(message));
        await delay(0);
        ended[i]?.open();
      },
    })),
  );
  await Promise.all(
    names.map(async (_name, i) => {
      const wire = await Wire.open({ port, secure });
      wire.send(handshake({ authority }, { path: `/${i}` }), ...sent);
      expect((await wire.response()).status).toBe(101);
      await ended[i]?.promise;
    }),
  );
  return got;
}

describe.each(hosts)('$name: messages that nobody takes yet', (host) => {
  const site = (routes: Parameters<Parameters<typeof whatEachGot>[0]>[0]) => serve(host, { routes });

  test('10,000 at once are all there, in order, once, for a handler that awaits 300 ms first', async () => {
    const texts = numbers(10_000);
    const got = await whatEachGot(site, [...texts.map(textFrame), closeFrame(1000)], () => delay(300));
    for (const name of Object.keys(consumers)) expectAll(got[name], texts, name);
  });

  test('are still there when the client has closed already', async () => {
    const texts = numbers(500);
    const got = await whatEachGot(site, [...texts.map(textFrame), closeFrame(1000)], ({ closed }) => closed);
    for (const name of Object.keys(consumers)) expectAll(got[name], texts, name);
  });

  test('come before the close, also to a listener that had paused', async () => {
    const seen: string[] = [];
    const ended = latch();
    const { port, secure, authority } = await serve(host, {
      routes: [
        {
          path: '/paused',
          handler: (socket) => {
            socket.pause();
            setTimeout(() => socket.resume(), 50);
            socket.on('message', (data) => {
              seen.push(String(data));
              socket.pause();
            });
            socket.on('close', () => {
              seen.push('close');
              ended.open();
            });
          },
        },
      ],
    });
    const wire = await Wire.open({ port, secure });
    wire.send(handshake({ authority }, { path: '/paused' }), ...numbers(20).map(textFrame), closeFrame(1000));
    await ended.promise;
    expect(seen).toEqual([...numbers(20), 'close']);
  });

  test('wait in a queue of bounded length, then in the network', async () => {
    const go = latch();
    const read = latch<number>();
    let open: Connection<unknown> | undefined;
    const site = await serve(host, {
      routes: [
        {
          path: '/busy',
          options: { maxQueuedMessages: 10 },
          handler: async (socket) => {
            open = socket;
            await go.promise;
            let count = 0;
            for await (const message of socket) {
              expect(message).toBe(String(count));
              if (++count === 2_000) read.open(count);
            }
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/busy' });
    await wire.response();
    // Each in a packet of its own while there is room, and then a great many.
    for (let i = 0; i < 10; i++) {
      wire.send(textFrame(String(i)));
      await vi.waitFor(() => expect(open?.messagesIn).toBe(i + 1), { interval: 1 });
    }
    wire.send(...numbers(2_000).slice(10).map(textFrame));
    await delay(100);
    expect(open?.messagesIn).toBe(10);
    go.open();
    expect(await read.promise).toBe(2_000);
  });

  test('wait in a queue of bounded bytes, then in the network', async () => {
    const go = latch();
    const read = latch<number>();
    const site = await serve(host, {
      routes: [
        {
          path: '/busy',
          handler: async (socket) => {
            await go.promise;
            let bytes = 0;
            for await (const message of socket) {
              bytes += message.length;
              if (bytes === 20_000_000) read.open(bytes);
            }
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/busy' });
    await wire.response();
    wire.send(...Array.from({ length: 200 }, () => textFrame('x'.repeat(100_000))));
    await delay(200);
    const [socket] = site.sockets;
    expect(socket?.bytesRead).toBeGreaterThan(1_000_000);
    expect(socket?.bytesRead).toBeLessThan(1_500_000);
    go.open();
    expect(await read.promise).toBe(20_000_000);
  });

  test.each([{ maxQueuedMessages: 0 }, { maxQueuedBytes: 0 }])('with %o one at a time still comes', async (options) => {
    const site = await serve(host, {
      routes: [
        {
          path: '/narrow',
          options,
          handler: async (socket) => {
            await delay(20);
            for await (const message of socket) socket.send(message);
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/narrow' });
    wire.send(...numbers(100).map(textFrame));
    await wire.response();
    for (const text of numbers(100)) expect(await wire.text()).toBe(text);
    wire.send(textFrame('in another packet'));
    expect(await wire.text()).toBe('in another packet');
  });

  test('do not keep pings from being answered', async () => {
    const site = await serveEndless(host, { routes: [{ path: '/busy', handler: () => new Promise(() => {}) }] });
    const wire = await knock(site, { path: '/busy' });
    await wire.response();
    wire.send(textFrame('unread'), frame('are you there', { opcode: opcodes.ping }));
    expect(await wire.frame()).toEqual({ opcode: opcodes.pong, payload: Buffer.from('are you there') });
  });

  test.each([
    ['closes', (wire: Wire) => wire.send(closeFrame(1000)), 1000],
    ['vanishes by a reset', (wire: Wire) => wire.reset(), 1006],
    ['vanishes by a FIN', (wire: Wire) => wire.halfClose(), 1006],
  ])('do not keep a handler that only sends from knowing at once that its client %s', async (_how, leave, code) => {
    const known = latch<number>();
    const site = await serveEndless(host, {
      routes: [
        {
          path: '/push',
          handler: async (socket) => {
            socket.on('close', known.open);
            await new Promise(() => {});
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/push' });
    await wire.response();
    wire.send(textFrame('unread'));
    leave(wire);
    expect(await known.promise).toBe(code);
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0));
  });

  test('do not keep a close from being answered when the queue is full', async () => {
    const site = await serveEndless(host, {
      routes: [
        { path: '/full', options: { maxQueuedMessages: 2 }, handler: () => new Promise(() => {}) },
        {
          path: '/paused',
          handler: async (socket) => {
            socket.pause();
            await new Promise(() => {});
          },
        },
      ],
    });
    for (const path of ['/full', '/paused']) {
      const client = await dial(site, path);
      for (const text of numbers(5_000)) client.send(text);
      await delay(30);
      const [connection] = site.upgrader.connections;
      connection?.close(4000, 'enough');
      const [code, reason] = await new Promise<unknown[]>((resolve) => client.on('close', (...info) => resolve(info)));
      expect([code, String(reason)]).toEqual([4000, 'enough']);
      await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0));
    }
  });

  test('cost what they weigh, not what came in the same packet', async () => {
    const faults = watchProcess();
    let open: Connection<unknown> | undefined;
    const site = await serve(host, {
      routes: [
        {
          path: '/waiting',
          handler: (socket) => {
            open = socket;
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/waiting' });
    await wire.response();
    const padding = Buffer.concat(
      Array.from({ length: 500 }, () => frame(Buffer.alloc(120), { opcode: opcodes.pong })),
    );
    for (let i = 1; i <= 20; i++) {
      wire.send(padding, textFrame('x'));
      await vi.waitFor(() => expect(open?.messagesIn).toBe(i), { interval: 1 });
    }
    const kept: ArrayBufferLike[] = [];
    for (let i = 0; i < 20; i++) {
      open?.once('message', (data: Buffer) => kept.push(data.buffer));
      await delay(0);
    }
    expect(kept.length).toBe(20);
    // The memory under a message that waited is its own, or of one of Node's pools (8 or 64 KiB), which many share.
    const weight = [...new Set(kept)].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(weight).toBeLessThanOrEqual(20 * 8 * 1024);
    expect(faults).toEqual([]);
  });
});
