import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bearerToken, type Connection, dial, inject, Upgrader } from '@drawbridge/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Sends bytes and gives all that comes back until the server ends the connection, or `enough` of it. */
async function ask(port: number, bytes: string, enough?: (text: string) => boolean): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(bytes);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    if (enough?.(text)) socket.destroy();
  });
  await once(socket, 'close');
  return text;
}

const handshake = [
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
].join('\r\n');

describe('more headers than Node keeps', () => {
  const many = 'a:\r\n'.repeat(1_100);

  test('are refused with 431, for what is behind them is not seen', async () => {
    const upgrader = new Upgrader();
    upgrader.route('/', () => {});
    const server = createServer({ maxHeaderSize: 64 * 1024 });
    upgrader.attach(server);
    const port = await listening(server);
    const answer = await ask(port, `GET / HTTP/1.1\r\n${handshake}\r\n${many}Origin: http://evil.example\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('do not hide the length of a body, so that it would be taken for the next request', async () => {
    const urls: string[] = [];
    const server = createServer({ maxHeaderSize: 64 * 1024 }, (request, response) => {
      urls.push(request.url ?? '');
      response.end('served');
    });
    new Upgrader().attach(server);
    const port = await listening(server);
    const body = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const head = `POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n${many}`;
    const answer = await ask(port, `${head}Content-Length: ${body.length}\r\n\r\n${body}`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(urls).not.toContain('/smuggled');
  });

  test("are counted by the server's own maxHeadersCount", async () => {
    const upgrader = new Upgrader();
    upgrader.route('/', () => {});
    const server = createServer();
    server.maxHeadersCount = 8;
    upgrader.attach(server);
    const port = await listening(server);
    const request = (extra: number): string => `GET / HTTP/1.1\r\n${handshake}\r\n${'a: b\r\n'.repeat(extra)}\r\n`;
    expect(await ask(port, request(2), (text) => text.includes('\r\n\r\n'))).toMatch(/^HTTP\/1\.1 101 /);
    expect(await ask(port, request(40))).toMatch(/^HTTP\/1\.1 431 /);
  });
});

test.each([
  ['shouldHandle', { shouldHandle: fail }],
  ['trustProxy', { trustProxy: fail, maxConnectionsPerAddress: 5 }],
])('a %s that throws refuses with 500, is reported, and ends nothing', async (_name, options) => {
  const errors: unknown[] = [];
  const upgrader = new Upgrader({ ...options, onError: (error) => errors.push(error) });
  upgrader.route('/', () => {});
  const server = createServer();
  upgrader.attach(server);
  await expect(inject(server, '/')).rejects.toMatchObject({ status: 500 });
  expect(errors).toEqual([new Error('on purpose')]);
});

test('an address is found out once, and what throws after that harms no connection', async () => {
  let asked = 0;
  const trustProxy = () => asked++ === 0 || fail();
  const upgrader = new Upgrader({ trustProxy, maxConnectionsPerAddress: 5 }).route('/', (socket) =>
    socket.send('hello'),
  );
  const server = createServer();
  upgrader.attach(server);
  const socket = await inject(server, '/');
  expect(await socket.receive()).toBe('hello');
  socket.terminate();
});

test.each([false, true])('clients without an address (trustProxy: %j) are counted as one', async (trustProxy) => {
  const upgrader = new Upgrader({ trustProxy, maxConnectionsPerAddress: 1 }).route('/', () => {});
  const server = createServer();
  upgrader.attach(server);
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${randomUUID()}` : join(tmpdir(), `${randomUUID()}.sock`);
  await once(server.listen(path), 'listening');
  onTestFinished(() => void server.close());
  const enter = () => dial('ws://localhost/', { createConnection: () => connect(path) });
  const first = await enter();
  await expect(enter()).rejects.toMatchObject({ status: 429 });
  first.terminate();
  await vi.waitFor(() => expect(upgrader.connections.size).toBe(0));
  (await enter()).terminate();
});

test.each<[string, (...given: [Connection, IncomingMessage]) => void]>([
  ['one', (socket) => socket.send(String(socket.request?.url))],
  ['two', (socket, _request) => socket.send(String(socket.request?.url))],
  ['who knows how many', (...given) => given[0].send(String(given[0].request?.url))],
])('a handler of %s parameters finds the request on its connection where it may keep it', async (_name, handler) => {
  const server = createServer();
  new Upgrader().route('/path', handler).attach(server);
  const socket = await inject(server, '/path');
  expect(await socket.receive()).toBe(handler.length === 1 ? 'undefined' : '/path');
  socket.terminate();
});

function fail(): never {
  throw new Error('on purpose');
}

test('a send callback that throws closes its own connection with 1011, and the others are called all the same', async () => {
  const errors: unknown[] = [];
  const called: string[] = [];
  const upgrader = new Upgrader({ onError: (error) => errors.push(error) });
  upgrader.route('/', (socket) => {
    socket.send('a', fail);
    socket.send('b', () => void called.push('b'));
  });
  const server = createServer();
  upgrader.attach(server);
  const client = await inject(server, '/');
  expect((await client.closed).code).toBe(1011);
  expect(errors).toEqual([new Error('on purpose')]);
  expect(called).toEqual(['b']);
});

test('the latest ping is answered when what was sent before it has gone', async () => {
  const upgrader = new Upgrader();
  const opened = new Promise<Connection>((resolve) => upgrader.route('/', resolve));
  const server = createServer();
  upgrader.attach(server);
  const client = new WebSocket(`ws://127.0.0.1:${await listening(server)}/`);
  await once(client, 'open');
  const socket = await opened;
  client.pause();
  socket.send(Buffer.alloc(8 * 1024 * 1024));
  const pinged = new Promise<void>((resolve) => socket.on('ping', (data) => String(data) === 'last' && resolve()));
  client.ping('first');
  client.ping('last');
  await pinged;
  const pongs: string[] = [];
  client.on('pong', (data) => pongs.push(String(data)));
  client.resume();
  await expect.poll(() => pongs, { timeout: 10_000 }).toContain('last');
  client.terminate();
});

test('closing waits for no handler when its time is over, and for every connection even then', async () => {
  const upgrader = new Upgrader();
  const server = createServer();
  upgrader.route('/', async (socket) => void (await socket.closed));
  upgrader.route('/stuck', () => new Promise<void>(() => {}));
  upgrader.attach(server);
  const clients = await Promise.all(['/', '/', '/stuck'].map((path) => inject(server, path)));
  for (const client of clients) client.pause();
  await upgrader.close({ timeout: 50 });
  expect(upgrader.connections.size).toBe(0);
  for (const client of clients) client.terminate();
});

test('times that no timer can count are refused, or wait as long as there are timers for', async () => {
  expect(() => new Upgrader({ handshakeTimeout: 2 ** 31 })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  );
  await expect(new Upgrader().close({ timeout: 2 ** 32 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  const upgrader = new Upgrader();
  upgrader.route('/', (socket) => socket.send('hello'));
  const server = createServer();
  upgrader.attach(server);
  const client = await inject(server, '/');
  expect(await client.receive({ timeout: 2 ** 31 })).toBe('hello');
  const nothing = client.receive({ timeout: 2 ** 31 });
  client.terminate();
  await expect(nothing).rejects.toMatchObject({ name: 'ConnectionClosed' });
});

test('an ordinary request is answered once where several Upgraders are all that listens', async () => {
  const server = createServer();
  for (const path of ['/a', '/b']) {
    const upgrader = new Upgrader();
    upgrader.route(path, () => {});
    upgrader.attach(server);
  }
  const port = await listening(server);
  const answer = await fetch(`http://127.0.0.1:${port}/nowhere`);
  expect(answer.status).toBe(404);
  await answer.text();
});

test('a bearer subprotocol is known in any case, and hidden', async () => {
  const upgrader = new Upgrader({ subprotocols: (offered) => offered[0] });
  upgrader.route('/', (socket, request) => socket.sendJSON([bearerToken(request), socket.protocol]));
  const server = createServer();
  upgrader.attach(server);
  const client = await inject(server, '/', { subprotocols: ['Bearer.YWJj', 'v1'] });
  expect(await client.receiveJSON()).toEqual(['abc', 'v1']);
  client.terminate();
});
