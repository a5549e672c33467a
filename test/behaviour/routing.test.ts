import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { type Handler, hosts, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { handshake, knock, requestHead, textFrame, Wire } from './raw.js';

const routes = [{ path: '/echo', handler: echo }];

/** Says what the request was found to be. */
const tell: Handler = (socket, { params, query }) => socket.send(JSON.stringify({ params, query }));

async function told(site: Site, path: string): Promise<{ params: Record<string, string>; query: unknown }> {
  const wire = await knock(site, { path });
  expect((await wire.response()).status).toBe(101);
  return JSON.parse(await wire.text());
}

describe.each(hosts)('$name: routing', (host) => {
  test('finds the route of a path among several', async () => {
    const say =
      (word: string): Handler =>
      (socket) =>
        socket.send(word);
    const site = await serve(host, {
      routes: [
        { path: '/one', handler: say('one') },
        { path: '/one/two', handler: say('two') },
        { path: '/', handler: say('root') },
      ],
    });
    for (const [path, word] of [
      ['/one', 'one'],
      ['/one/two', 'two'],
      ['/', 'root'],
      ['/?a=/one', 'root'],
    ] as const) {
      const wire = await knock(site, { path });
      await wire.response();
      expect(await wire.text()).toBe(word);
    }
  });

  test('gives the parameters of the path', async () => {
    const site = await serve(host, { routes: [{ path: '/rooms/:room/seats/:seat', handler: tell }] });
    expect((await told(site, '/rooms/blue/seats/7')).params).toEqual({ room: 'blue', seat: '7' });
  });

  test('decodes the parameters of the path', async () => {
    const site = await serve(host, { routes: [{ path: '/rooms/:room', handler: tell }] });
    expect((await told(site, '/rooms/caf%C3%A9%2Fau%20lait')).params).toEqual({ room: 'café/au lait' });
  });

  test('gives what a wildcard stands for', async () => {
    const seen: string[] = [];
    const handler: Handler = (socket, { params }) => {
      seen.push(host.wildcard.rest(params));
      socket.close();
    };
    const site = await serve(host, { routes: [{ path: host.wildcard.under('/files'), handler }] });
    await (await knock(site, { path: '/files/a/b.txt' })).response();
    expect(seen).toEqual(['a/b.txt']);
  });

  test('gives the query', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', handler: tell }] });
    expect((await told(site, '/echo?color=light%20blue&tag=a&tag=b&empty=')).query).toEqual({
      color: 'light blue',
      tag: ['a', 'b'],
      empty: '',
    });
    expect((await told(site, '/echo')).query).toEqual({});
  });

  test('refuses an unknown path with 404 at once where nobody else listens', async () => {
    const site = await serve(host, { routes, options: { unclaimedTimeout: 60_000 } });
    for (const path of ['/nowhere', '/echo/more', '/', '//echo']) {
      const response = await (await knock(site, { path })).lastResponse();
      expect(response.status).toBe(404);
      expect(response.header('content-length')).toBe(String(response.body.length));
    }
  });

  test.each(
    Object.entries({
      'an empty IPv6 host': '//[]/x',
      'a lone %': '/%',
      'a lone % behind a route': '/echo%',
      'what is no UTF-8': '/%ff',
      'an overlong encoding': '/%c0%af',
      'an absolute form': 'http://127.0.0.1/echo',
      'an absolute form without a host': 'http:///echo',
      'an asterisk': '*',
      '64 KiB': `/${'x'.repeat(64 * 1024)}`,
    }),
  )('refuses a target that is %s, and lives', async (_name, path) => {
    const site = await serve(host, { routes });
    const { status } = await (await knock(site, { path })).response();
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(await exchange(await dial(site, '/echo'), 'still there')).toBe('still there');
  });

  test(`answers an ordinary request for a WebSocket's path with ${host.plainRequestStatus}`, async () => {
    const site = await serve(host, { routes });
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /echo HTTP/1.1', { Host: site.authority }));
    const response = await wire.response();
    expect(response.status).toBe(host.plainRequestStatus);
    if (host.plainRequestStatus === 426) expect(response.header('upgrade')).toBe('websocket');
  });

  test("answers a request that lacks Connection's Upgrade as the ordinary one that it is", async () => {
    const site = await serve(host, { routes });
    const wire = await knock(site, { headers: { Connection: 'keep-alive' } });
    expect((await wire.response()).status).toBe(host.plainRequestStatus);
  });

  test('crosses after an ordinary request on the same connection', async () => {
    const site = await serve(host, { routes, pages: { '/page': () => 'a page' } });
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /page HTTP/1.1', { Host: site.authority }));
    expect((await wire.response()).body.toString()).toBe('a page');
    wire.send(handshake(site));
    expect((await wire.response()).status).toBe(101);
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test.each([
    ['crosses', '/echo', 101],
    ['is refused', '/nowhere', 404],
  ])('an upgrade that came behind an unanswered request %s after its answer', async (_name, path, status) => {
    const page = latch<string>();
    const asked = latch();
    const site = await serve(host, {
      routes,
      pages: {
        '/slow': () => {
          asked.open();
          return page.promise;
        },
      },
    });
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /slow HTTP/1.1', { Host: site.authority }), handshake(site, { path }));
    await asked.promise;
    await (await knock(site)).response();
    await nextTurn();
    expect(wire.unread.toString()).toBe('');
    page.open('at last');
    expect((await wire.response()).body.toString()).toBe('at last');
    expect((await wire.response()).status).toBe(status);
    if (status !== 101) return;
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test('knows the open connections', async () => {
    const site = await serve(host, { routes });
    expect(site.upgrader.connections.size).toBe(0);
    const [one, two] = [await dial(site, '/echo'), await dial(site, '/echo')];
    expect(await exchange(two, 'hello')).toBe('hello');
    expect(site.upgrader.connections.size).toBe(2);
    const closed = Promise.all([...site.upgrader.connections].map((connection) => once(connection, 'close')));
    one.close();
    two.terminate();
    await closed;
    expect(site.upgrader.connections.size).toBe(0);
  });
});
