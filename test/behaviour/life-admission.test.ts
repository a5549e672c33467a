import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { UpgraderOptions } from '@drawbridge/core';
import { attach, websocket } from '@drawbridge/express';
import fastifyWebsocket from '@drawbridge/fastify';
import express from 'express';
import express4 from 'express4';
import createFastify from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { frame, opcodes } from './frames.js';
import { type Gate, hosts, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { type HandshakeChanges, handshake, knock, type RawResponse, Wire } from './raw.js';

/** An application whose middleware is counted. */
async function countedSite(
  host: Parameters<typeof serve>[0],
  options: UpgraderOptions,
  gate: Gate = () => {},
): Promise<Site & { visits: () => number }> {
  let visits = 0;
  const counted: Gate = (visit) => {
    visits++;
    return gate(visit);
  };
  const site = await serve(host, { options, routes: [{ path: '/', gates: [counted] }] });
  return { ...site, visits: () => visits };
}

async function enter(site: Pick<Site, 'port' | 'secure' | 'authority'>, changes: HandshakeChanges = {}): Promise<Wire> {
  const wire = await Wire.open(site);
  onTestFinished(() => wire.reset());
  wire.send(handshake(site, { path: '/', ...changes }));
  return wire;
}

async function refusalOf(wire: Wire): Promise<RawResponse> {
  const response = await wire.lastResponse();
  expect(Number(response.header('retry-after'))).toBeGreaterThan(0);
  expect(response.body.length).toBeGreaterThan(0);
  return response;
}

describe.each(hosts)('$name: admission', (host) => {
  test('above maxConnections gives 503 before any middleware runs, and there is room when one has gone', async () => {
    const site = await countedSite(host, { maxConnections: 2 });
    const [first, second] = [await enter(site), await enter(site)];
    expect([(await first.response()).status, (await second.response()).status]).toEqual([101, 101]);
    for (let i = 0; i < 3; i++) expect((await refusalOf(await enter(site))).status).toBe(503);
    expect(site.visits()).toBe(2);
    first.reset();
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(1), { interval: 2 });
    expect((await (await enter(site)).response()).status).toBe(101);
  });

  test('counts those who wait for a decision among the connections', async () => {
    const site = await countedSite(host, { maxConnections: 1 }, () => new Promise(() => {}));
    const waiting = await enter(site);
    await vi.waitFor(() => expect(site.visits()).toBe(1), { interval: 2 });
    expect((await refusalOf(await enter(site))).status).toBe(503);
    waiting.reset();
    await vi.waitFor(() => expect(site.sockets.size).toBe(0), { interval: 2 });
    await enter(site);
    await vi.waitFor(() => expect(site.visits()).toBe(2), { interval: 2 });
  });

  test('above maxPendingUpgrades gives 429 before any middleware runs, until one is decided', async () => {
    const decided = latch();
    const site = await countedSite(host, { maxPendingUpgrades: 3 }, () => decided.promise);
    const waiting = await Promise.all([enter(site), enter(site), enter(site)]);
    await vi.waitFor(() => expect(site.visits()).toBe(3), { interval: 2 });
    expect((await refusalOf(await enter(site))).status).toBe(429);
    expect(site.visits()).toBe(3);
    decided.open();
    for (const wire of waiting) expect((await wire.response()).status).toBe(101);
    expect((await (await enter(site)).response()).status).toBe(101);
  });

  test('what is not decided within handshakeTimeout gets 408', async () => {
    const site = await countedSite(host, { handshakeTimeout: 30 }, () => new Promise(() => {}));
    const start = performance.now();
    expect((await refusalOf(await enter(site))).status).toBe(408);
    expect(performance.now() - start).toBeGreaterThan(28);
  });

  test('above maxConnectionsPerAddress gives 429 to that address, as trustProxy tells it, and to no other', async () => {
    const site = await countedSite(host, { maxConnectionsPerAddress: 2, trustProxy: 'loopback' });
    const from = (address: string) => enter(site, { headers: { 'X-Forwarded-For': address } });
    const first = await from('203.0.113.1');
    expect((await first.response()).status).toBe(101);
    expect((await (await from('203.0.113.1')).response()).status).toBe(101);
    expect((await refusalOf(await from('203.0.113.1'))).status).toBe(429);
    expect((await refusalOf(await from('198.51.100.7, 203.0.113.1'))).status).toBe(429);
    expect(site.visits()).toBe(2);
    expect((await (await from('203.0.113.2')).response()).status).toBe(101);
    first.reset();
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(2), { interval: 2 });
    expect((await (await from('203.0.113.1')).response()).status).toBe(101);
  });

  test('the address is the TCP connection where no proxy is trusted', async () => {
    const site = await countedSite(host, { maxConnectionsPerAddress: 1 });
    expect((await (await enter(site, { headers: { 'X-Forwarded-For': '203.0.113.1' } })).response()).status).toBe(101);
    expect((await refusalOf(await enter(site, { headers: { 'X-Forwarded-For': '203.0.113.2' } }))).status).toBe(429);
  });

  test('counts truly over many that come, go, wait and are refused', async () => {
    const site = await countedSite(
      host,
      { maxConnectionsPerAddress: 3, maxPendingUpgrades: 3, maxConnections: 3 },
      async ({ headers, answer }) => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (headers.cookie === 'refuse') answer(403, {}, 'no');
      },
    );
    for (let round = 0; round < 5; round++) {
      const wires = await Promise.all(
        [0, 1, 2].map((i) => enter(site, i === 1 ? { headers: { Cookie: 'refuse' } } : {})),
      );
      expect(await Promise.all(wires.map(async (wire) => (await wire.response()).status))).toEqual([101, 403, 101]);
      for (const wire of wires) wire.reset();
      await vi.waitFor(() => expect(site.sockets.size).toBe(0), { interval: 2 });
    }
    expect(site.upgrader.connections.size).toBe(0);
  });
});

/** The frameworks' own setting for whom to believe, and none of ours. */
const believing: Record<string, (options: UpgraderOptions) => Promise<Pick<Site, 'port' | 'secure' | 'authority'>>> = {
  express4: (options) => listenExpress(express4(), options),
  express5: (options) => listenExpress(express(), options),
  fastify5: async (options) => {
    const fastify = createFastify({ trustProxy: 'loopback' });
    onTestFinished(() => fastify.close());
    await fastify.register(fastifyWebsocket, options as object);
    fastify.get('/', { websocket: true }, () => {});
    await fastify.listen({ host: '127.0.0.1', port: 0 });
    const { port } = fastify.server.address() as AddressInfo;
    return { port, secure: false, authority: `127.0.0.1:${port}` };
  },
};

async function listenExpress(app: ReturnType<typeof express>, options: UpgraderOptions): Promise<Site> {
  app.set('trust proxy', 'loopback');
  app.get(
    '/',
    websocket(() => {}),
  );
  const server = createServer(app);
  const upgrader = attach(server, app, options as never);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    server.close();
    await upgrader.close({ timeout: 0 });
  });
  const { port } = server.address() as AddressInfo;
  return { port, secure: false, authority: `127.0.0.1:${port}` } as Site;
}

test.each(Object.entries(believing))('%s: the address is what its own setting for proxies says', async (_, start) => {
  const site = await start({ maxConnectionsPerAddress: 1 });
  const from = (address: string) => enter(site, { headers: { 'X-Forwarded-For': address } });
  expect((await (await from('203.0.113.1')).response()).status).toBe(101);
  expect((await (await from('203.0.113.2')).response()).status).toBe(101);
  expect((await refusalOf(await from('203.0.113.1'))).status).toBe(429);
});

describe.each(hosts)('$name: limits of messages', (host) => {
  test('are set route by route', async () => {
    const site = await serve(host, {
      options: { maxPayload: 100, maxFragments: 2 },
      routes: [
        { path: '/as-the-upgrader-says' },
        { path: '/longer', options: { maxPayload: 1_000 } },
        { path: '/more', options: { maxFragments: 5 } },
        { path: '/compressed', options: { perMessageDeflate: true } },
      ],
    });
    const outcome = async (path: string, ...frames: Buffer[]): Promise<number> => {
      const wire = await knock(site, { path });
      await wire.response();
      wire.send(...frames, frame('', { opcode: opcodes.ping }));
      const { opcode, payload } = await wire.frame();
      wire.reset();
      return opcode === opcodes.pong ? 0 : payload.readUInt16BE(0);
    };
    const bytes = (length: number) => frame(Buffer.alloc(length), { opcode: opcodes.binary });
    const pieces = (count: number) =>
      Array.from({ length: count }, (_, i) => frame('x', { opcode: i === 0 ? 1 : 0, fin: i === count - 1 }));
    expect(await outcome('/as-the-upgrader-says', bytes(100))).toBe(0);
    expect(await outcome('/as-the-upgrader-says', bytes(101))).toBe(1009);
    expect(await outcome('/longer', bytes(1_000))).toBe(0);
    expect(await outcome('/longer', bytes(1_001))).toBe(1009);
    expect(await outcome('/as-the-upgrader-says', ...pieces(2))).toBe(0);
    expect(await outcome('/as-the-upgrader-says', ...pieces(3))).toBe(1008);
    expect(await outcome('/more', ...pieces(5))).toBe(0);
    expect(await outcome('/more', ...pieces(6))).toBe(1008);
    const offer = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
    const accepted = async (path: string) =>
      (await (await knock(site, { path, headers: offer })).response()).header('sec-websocket-extensions');
    expect(await accepted('/compressed')).toContain('permessage-deflate');
    expect(await accepted('/longer')).toBe(undefined);
  });

  test('are 1 MiB and 1,024 fragments by default', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const codeAfter = async (...frames: Buffer[]): Promise<number> => {
      const wire = await knock(site, { path: '/' });
      await wire.response();
      wire.send(...frames);
      const { opcode, payload } = await wire.frame();
      expect(opcode).toBe(opcodes.close);
      wire.reset();
      return payload.readUInt16BE(0);
    };
    expect(await codeAfter(frame('', { announced: 1024 * 1024 + 1 }))).toBe(1009);
    const pieces = Array.from({ length: 1025 }, (_, i) => frame('x', { opcode: i === 0 ? 1 : 0, fin: false }));
    expect(await codeAfter(...pieces)).toBe(1008);
  });

  test('let nobody send a message in packets that cost many times what they hold', async () => {
    const site = await serve(host, { routes: [{ path: '/' }] });
    const wire = await knock(site, { path: '/' });
    await wire.response();
    const [socket] = site.sockets;
    wire.send(frame('', { opcode: opcodes.binary, announced: 1024 * 1024 }));
    let packets = 0;
    for (; wire.unread.length === 0 && packets < 5_000; packets++) {
      const read = socket?.bytesRead;
      wire.send(Buffer.alloc(1));
      while (socket?.bytesRead === read && !socket?.destroyed) await new Promise(setImmediate);
    }
    expect(packets).toBeLessThan(4_200);
    const { opcode, payload } = await wire.frame();
    expect([opcode, payload.readUInt16BE(0)]).toEqual([opcodes.close, 1008]);
  });
});
