import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Upgrader } from '@drawbridge/core';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { Server as SocketIoServer } from 'socket.io';
import { io } from 'socket.io-client';
import { createServer as createViteServer, type ViteDevServer } from 'vite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { countListeners, watchProcess } from './census.js';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { type Host, hosts, type Plan, type Route, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { knock, requestHead, Wire } from './raw.js';

type Order = 'before' | 'after';
const orders: Order[] = ['before', 'after'];

const routes: Route[] = [
  { path: '/echo', handler: echo },
  { path: '/slow', handler: echo, gates: [() => delay(80)] },
];

/** Our application with a neighbour on the same server, who comes before us or after us. */
async function serveBeside(
  host: Host,
  order: Order,
  join: (server: Server) => void | Promise<void>,
  options: Plan['options'] = { unclaimedTimeout: 60 },
  ours: Route[] = routes,
): Promise<Site> {
  if (order === 'before') return serve(host, { options, routes: ours, before: join });
  const site = await serve(host, { options, routes: ours });
  await join(site.server);
  return site;
}

/** Speaks WebSocket on one path and leaves everything else alone. */
function neighbourOn(path: string, think: () => unknown = () => {}): (server: Server) => void {
  const webSocketServer = new WebSocketServer({ noServer: true });
  webSocketServer.on('connection', (socket) => socket.on('message', (data) => socket.send(`hmr: ${data}`)));
  return (server) =>
    void server.on('upgrade', async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (request.url !== path) return;
      const thinking = think();
      if (thinking) await thinking;
      webSocketServer.handleUpgrade(request, socket, head, (one) => webSocketServer.emit('connection', one, request));
    });
}

/** Ours works at once and after thinking, and what is nobody's gets 404. */
async function expectOurs(site: Site): Promise<void> {
  const nobodys = await knock(site, { path: '/nobodys' });
  const [fast, slow] = await Promise.all([dial(site, '/echo'), dial(site, '/slow')]);
  expect(await exchange(fast, 'at once')).toBe('at once');
  expect(await exchange(slow, 'after a while')).toBe('after a while');
  expect((await nobodys.lastResponse()).status).toBe(404);
}

describe.each(hosts)('$name: beside another listener', (host) => {
  describe.each(orders)('that came %s us', (order) => {
    test('each serves its own', async () => {
      const faults = watchProcess();
      const site = await serveBeside(host, order, neighbourOn('/hmr'));
      const theirs = await dial(site, '/hmr');
      expect(await exchange(theirs, 'hello')).toBe('hmr: hello');
      await expectOurs(site);
      expect(await exchange(theirs, 'hello again')).toBe('hmr: hello again');
      expect(faults).toEqual([]);
    });

    test('what it refuses is refused by it alone', async () => {
      const site = await serveBeside(host, order, (server) => {
        server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
          if (request.url === '/hmr')
            socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        });
      });
      const response = await (await knock(site, { path: '/hmr' })).lastResponse();
      expect(response.status).toBe(401);
    });

    test('what it may take it has time to take', async () => {
      const site = await serveBeside(
        host,
        order,
        neighbourOn('/hmr', () => delay(50)),
        { unclaimedTimeout: 500 },
      );
      const theirs = await dial(site, '/hmr');
      expect(await exchange(theirs, 'hello')).toBe('hmr: hello');
    });

    test('what nobody takes gets 404 when that time is over, and not before', async () => {
      const site = await serveBeside(host, order, neighbourOn('/hmr'), { unclaimedTimeout: 150 });
      const start = performance.now();
      const response = await (await knock(site, { path: '/nobodys' })).lastResponse();
      expect(response.status).toBe(404);
      expect(response.header('content-length')).toBe(String(response.body.length));
      expect(performance.now() - start).toBeGreaterThan(140);
    });

    test('what shouldHandle leaves is never answered by us', async () => {
      const site = await serveBeside(
        host,
        order,
        neighbourOn('/hmr', () => delay(150)),
        { unclaimedTimeout: 20, shouldHandle: (request) => request.url !== '/hmr' },
      );
      const theirs = await dial(site, '/hmr');
      expect(await exchange(theirs, 'hello')).toBe('hmr: hello');
      await expectOurs(site);
    });

    test('a client that resets while it waits for somebody ends nothing', async () => {
      const faults = watchProcess();
      const site = await serveBeside(host, order, neighbourOn('/hmr'), { unclaimedTimeout: 60 });
      const wires = await Promise.all(Array.from({ length: 20 }, () => knock(site, { path: '/nobodys' })));
      await delay(10);
      for (const wire of wires) wire.reset();
      await expect.poll(() => site.sockets.size, { timeout: 5_000 }).toBe(0);
      await expectOurs(site);
      expect(faults).toEqual([]);
    });

    test('detach leaves it in place, and our open connections too', async () => {
      const site = await serveBeside(host, order, neighbourOn('/hmr'));
      const ours = await dial(site, '/echo');
      const theirs = await dial(site, '/hmr');
      const listeners = site.server.listenerCount('upgrade');
      site.upgrader.detach(site.server);
      expect(site.server.listenerCount('upgrade')).toBe(listeners - 1);
      expect(await exchange(ours, 'still here')).toBe('still here');
      expect(await exchange(theirs, 'hello')).toBe('hmr: hello');
      const anew = await dial(site, '/hmr');
      expect(await exchange(anew, 'hello')).toBe('hmr: hello');
      const left = await knock(site, { path: '/echo' });
      await exchange(anew, 'and nobody answers for us');
      expect(left.unread.length).toBe(0);
    });
  });

  test('what shouldHandle leaves gets 404 where there is no other', async () => {
    const site = await serve(host, { routes, options: { shouldHandle: () => false } });
    expect((await (await knock(site)).lastResponse()).status).toBe(404);
  });

  test('another Upgrader is such another', async () => {
    const other = new Upgrader({ unclaimedTimeout: 50 }).route('/other', (socket) => socket.send('the other'));
    const site = await serveBeside(host, 'after', (server) => void other.attach(server), { unclaimedTimeout: 50 });
    const wire = await knock(site, { path: '/other' });
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('the other');
    await expectOurs(site);
  });

  test('a foreign protocol that nobody takes is an ordinary request all the same', async () => {
    const site = await serve(host, {
      routes,
      pages: { '/page': () => 'a page' },
      options: { unclaimedTimeout: 50 },
      before: neighbourOn('/hmr'),
    });
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /page HTTP/1.1', { Host: site.authority, Connection: 'Upgrade', Upgrade: 'h2c' }));
    expect((await wire.response()).body.toString()).toBe('a page');
  });

  test('detach without another leaves the server as it was', async () => {
    let before: unknown;
    const plan: Plan = {
      routes,
      pages: { '/page': () => 'a page' },
      before: (server) => {
        before = countListeners({ server } as Site).server;
      },
    };
    const site = await serve(host, plan);
    site.upgrader.detach(site.server);
    expect(site.server.listenerCount('upgrade')).toBe(0);
    expect(countListeners(site).server).toMatchObject(before as object);
    expect((await (await knock(site, { path: '/page' })).response()).body.toString()).toBe('a page');
  });
});

describe.each(hosts)('$name: beside Vite', (host) => {
  test.each(orders)('that came %s us, the hot reload and our routes work', async (order) => {
    const root = await mkdtemp(join(tmpdir(), 'drawbridge-vite-'));
    await writeFile(join(root, 'main.js'), 'export const one = 1; import.meta.hot.accept();');
    const started = latch<ViteDevServer>();
    const joinVite = async (server: Server) => {
      const vite = await createViteServer({
        root,
        configFile: false,
        logLevel: 'silent',
        appType: 'custom',
        optimizeDeps: { noDiscovery: true },
        server: { middlewareMode: true, hmr: { server } },
      });
      onTestFinished(async () => {
        await vite.close();
        await rm(root, { recursive: true });
      });
      started.open(vite);
    };
    const site = await serveBeside(host, order, joinVite);
    const dev = await started.promise;
    const browser = await dial(site, `/?token=${dev.config.webSocketToken}`, {
      protocols: ['vite-hmr'],
      origin: `http://${site.authority}`,
    });
    await dev.transformRequest('/main.js');
    const update = messageOfType(browser, 'update');
    await writeFile(join(root, 'main.js'), 'export const one = 2; import.meta.hot.accept();');
    expect(await update).toMatchObject({ updates: [{ path: '/main.js' }] });
    await expectOurs(site);
  });
});

async function messageOfType(socket: WebSocket, type: string): Promise<unknown> {
  for (;;) {
    const [data] = await once(socket, 'message');
    const message = JSON.parse(String(data));
    if (message.type === type) return message;
  }
}

describe.each(hosts)('$name: beside socket.io', (host) => {
  const joinWith = (options: object) => (server: Server) => {
    const sockets = new SocketIoServer(server, options);
    sockets.on('connection', (socket) => socket.on('ask', (word, answer) => answer(`io: ${word}`)));
    // Not awaited: it waits for every connection of the server.
    onTestFinished(() => void sockets.close());
  };

  const connectIo = async (site: Site, transports: string[]) => {
    const socket = io(`${site.secure ? 'https' : 'http'}://${site.authority}`, {
      transports,
      reconnection: false,
      forceNew: true,
      rejectUnauthorized: false,
    });
    onTestFinished(() => void socket.disconnect());
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    return socket;
  };

  test.each(orders)('that came %s us, both work', async (order) => {
    const faults = watchProcess();
    const site = await serveBeside(host, order, joinWith({ destroyUpgrade: false }));
    const direct = await connectIo(site, ['websocket']);
    expect(await direct.emitWithAck('ask', 'direct')).toBe('io: direct');
    const upgraded = await connectIo(site, ['polling', 'websocket']);
    if (upgraded.io.engine.transport.name !== 'websocket') {
      await new Promise((resolve) => upgraded.io.engine.once('upgrade', resolve));
    }
    expect(await upgraded.emitWithAck('ask', 'upgraded')).toBe('io: upgraded');
    await expectOurs(site);
    expect(faults).toEqual([]);
  });

  test.each(orders)('that came %s us and cuts off what it does not know, we know it', async (order) => {
    const faults = watchProcess();
    const gone = latch();
    const decided = latch();
    const pondering: Route = {
      path: '/pondering',
      gates: [
        async ({ signal }) => {
          signal.addEventListener('abort', () => gone.open());
          await decided.promise;
        },
      ],
    };
    const site = await serveBeside(host, order, joinWith({ destroyUpgradeTimeout: 30 }), {}, [...routes, pondering]);
    const cut = await knock(site, { path: '/pondering' });
    await cut.ending();
    await gone.promise;
    decided.open();
    expect(await exchange(await dial(site, '/echo'), 'at once')).toBe('at once');
    expect(site.upgrader.connections.size).toBe(1);
    expect(faults).toEqual([]);
  });
});

describe.each(hosts)('$name: beside a proxy', (host) => {
  test.each(orders)('that came %s us, what goes behind it and what is ours both arrive', async (order) => {
    const faults = watchProcess();
    const behind = createServer();
    neighbourOn('/behind')(behind);
    await once(behind.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void behind.close());
    const proxy = createProxyMiddleware({
      target: `http://127.0.0.1:${(behind.address() as AddressInfo).port}`,
      pathFilter: '/behind',
      ws: true,
    });
    // The proxy puts no mark on the socket before the server behind it has answered, which a busy machine may delay.
    const options = { unclaimedTimeout: 400 };
    const site = await serveBeside(host, order, (server) => void server.on('upgrade', proxy.upgrade), options);
    const proxied = await dial(site, '/behind');
    expect(await exchange(proxied, 'hello')).toBe('hmr: hello');
    await expectOurs(site);
    expect(faults).toEqual([]);
    proxied.terminate();
  });
});
