import { describe, expect, test } from 'vitest';
import { watchProcess } from './census.js';
import { echo } from './echo.js';
import { hosts, type Plan, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { handshake, requestHead, textFrame, Wire } from './raw.js';

const plan: Plan = {
  routes: [{ path: '/echo', handler: echo }],
  pages: { '/page': (body) => (body ? `posted: ${body}` : 'a page') },
};

/** What curl sends with `--http2`. */
const h2c = {
  Connection: 'Upgrade, HTTP2-Settings',
  Upgrade: 'h2c',
  'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
};

const get = (site: Site, fields: Record<string, string> = {}) =>
  requestHead('GET /page HTTP/1.1', { Host: site.authority, ...fields });

const post = (site: Site, fields: Record<string, string>) =>
  requestHead('POST /page HTTP/1.1', { Host: site.authority, 'Content-Type': 'text/plain', ...fields });

async function expectPage(wire: Wire, text = 'a page'): Promise<void> {
  const response = await wire.response();
  expect(response.status).toBe(200);
  expect(response.body.toString()).toBe(text);
}

describe.each(hosts)('$name: an upgrade to another protocol', (host) => {
  test.each([
    ['h2c, as curl asks', h2c],
    ["h2c, as Java's HttpClient asks", { ...h2c, Connection: 'HTTP2-Settings, Upgrade' }],
    ['h2c, kept alive', { ...h2c, Connection: 'keep-alive, Upgrade' }],
    ['TLS', { Connection: 'Upgrade', Upgrade: 'TLS/1.2' }],
    ['something like WebSocket', { Connection: 'Upgrade', Upgrade: 'websockets' }],
  ])('(%s) is the ordinary request that it also is, and so is the next', async (_name, fields) => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(get(site, fields));
    await expectPage(wire);
    wire.send(get(site));
    await expectPage(wire);
    wire.send(get(site, fields));
    await expectPage(wire);
  });

  test('brings its body, by length', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(post(site, { ...h2c, 'Content-Length': '5' }), 'hello');
    await expectPage(wire, 'posted: hello');
    wire.send(get(site));
    await expectPage(wire);
  });

  test('brings its body in chunks', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(post(site, { ...h2c, 'Transfer-Encoding': 'chunked' }), '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n');
    await expectPage(wire, 'posted: hello');
    wire.send(get(site));
    await expectPage(wire);
  });

  test('brings a body that comes later and is large', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    const body = 'large '.repeat(50_000);
    wire.send(post(site, { ...h2c, 'Content-Length': String(body.length) }), body.slice(0, 10));
    for (let at = 10; at < body.length; at += 100_000) {
      await new Promise(setImmediate);
      wire.send(body.slice(at, at + 100_000));
    }
    const response = await wire.response();
    expect(response.body.toString() === `posted: ${body}`).toBe(true);
    wire.send(get(site));
    await expectPage(wire);
  });

  test('may wait for the 100 before it sends its body', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(post(site, { ...h2c, 'Content-Length': '5', Expect: '100-continue' }));
    expect((await wire.response()).status).toBe(100);
    wire.send('hello');
    await expectPage(wire, 'posted: hello');
    wire.send(get(site));
    await expectPage(wire);
  });

  test('may have the next request in the same packet', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(get(site, h2c), post(site, { ...h2c, 'Content-Length': '5' }), 'hello', get(site), get(site, h2c));
    await expectPage(wire);
    await expectPage(wire, 'posted: hello');
    await expectPage(wire);
    await expectPage(wire);
  });

  test('may come behind a request that is not answered yet, and is answered after it', async () => {
    const slow = latch<string>();
    const asked = latch();
    const pages = {
      ...plan.pages,
      '/slow': () => {
        asked.open();
        return slow.promise;
      },
    };
    const site = await serve(host, { ...plan, pages });
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /slow HTTP/1.1', { Host: site.authority }), get(site, h2c), get(site));
    await asked.promise;
    const other = await Wire.open(site);
    other.send(get(site));
    await expectPage(other);
    expect(wire.unread.toString()).toBe('');
    slow.open('at last');
    await expectPage(wire, 'at last');
    await expectPage(wire);
    await expectPage(wire);
  });

  test('ends the connection where the client says so', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(get(site, { ...h2c, Connection: 'Upgrade, close' }));
    expect((await wire.lastResponse()).body.toString()).toBe('a page');
    const other = await Wire.open(site);
    other.send(post(site, { ...h2c, Connection: 'Upgrade, close', 'Content-Length': '5' }), 'hello');
    expect((await other.lastResponse()).body.toString()).toBe('posted: hello');
  });

  test('is told where it expects what nobody can do', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(post(site, { ...h2c, 'Content-Length': '5', Expect: 'wonders' }));
    expect((await wire.response()).status).toBe(417);
  });

  test('may be followed by one to WebSocket on the same connection', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(get(site, h2c));
    await expectPage(wire);
    wire.send(handshake(site), textFrame('across'));
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('across');
  });

  test('leaves nothing on the connection, however often it is asked for', async () => {
    const faults = watchProcess();
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    for (let i = 0; i < 30; i++) {
      wire.send(get(site, h2c));
      await expectPage(wire);
    }
    expect(site.sockets.size).toBe(1);
    for (const socket of site.sockets) {
      for (const event of socket.eventNames()) expect(socket.listenerCount(event), String(event)).toBeLessThan(6);
    }
    expect(faults).toEqual([]);
  });

  test('to a path that has no page is as unknown as without it', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(requestHead('GET /nowhere HTTP/1.1', { Host: site.authority, ...h2c }));
    expect((await wire.response()).status).toBe(404);
    wire.send(get(site));
    await expectPage(wire);
  });

  test('that names WebSocket too is one to WebSocket', async () => {
    const site = await serve(host, plan);
    const wire = await Wire.open(site);
    wire.send(handshake(site, { headers: { Upgrade: 'h2c, websocket' } }));
    expect((await wire.response()).status).toBe(101);
  });
});
