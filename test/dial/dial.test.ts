import { once } from 'node:events';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection, ConnectionClosed, type DialOptions, dial, type RouteOptions, Upgrader } from '@drawbridge/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { authority, bridge, byteServer, failure, type Knock, serverText, switching } from './servers.js';

const ca = authority;

/** A server and the two ends of one connection to it. */
async function pair(
  options: DialOptions = {},
  route: RouteOptions = {},
  secure = false,
): Promise<{ near: Connection; far: Connection; headers: Knock['headers'] }> {
  const arrived = latch<{ far: Connection; headers: Knock['headers'] }>();
  const { url } = await bridge(secure, (upgrader) => {
    upgrader.route('/', route, (far, { headers }) => arrived.open({ far, headers }));
  });
  const near = await dial(url, { ca, ...options });
  onTestFinished(() => near.terminate());
  return { near, ...(await arrived.promise) };
}

describe.each([
  { scheme: 'ws', secure: false },
  { scheme: 'wss', secure: true },
])('dial over $scheme', ({ secure }) => {
  test('gives an open Connection, with all that its life has', async () => {
    const { url } = await bridge(secure, (upgrader) => upgrader.route('/echo', echo));
    const socket = await dial(`${url}/echo`, { ca });
    expect(socket).toBeInstanceOf(Connection);
    expect(socket.readyState).toBe(socket.OPEN);
    expect(socket.url).toBe(`${url}/echo`);
    expect(socket.request).toBeUndefined();
    expect(socket.path).toBeUndefined();
    expect(socket.listenerCount('error') + socket.listenerCount('close')).toBe(0);

    socket.send('text');
    expect(await socket.receive()).toBe('text');
    socket.send(Buffer.from([0, 255]));
    expect(await socket.receive()).toEqual(Buffer.from([0, 255]));
    socket.sendJSON({ deep: [1, 2] });
    expect(await socket.receiveJSON()).toEqual({ deep: [1, 2] });

    socket.close(4001, 'enough');
    expect(await socket.closed).toEqual({ code: 4001, reason: 'enough', wasClean: true });
    expect(socket.signal.reason).toBeInstanceOf(ConnectionClosed);
  });

  test.each([1, 200])('loses nothing of %i messages that come in one packet with the 101', async (count) => {
    const texts = Array.from({ length: count }, (_, index) => `message ${index}`);
    const { url } = await byteServer(
      (socket, knock) => {
        socket.write(Buffer.concat([Buffer.from(switching(knock)), ...texts.map(serverText)]));
      },
      { secure },
    );
    const socket = await dial(url, { ca });
    onTestFinished(() => socket.terminate());
    for (const text of texts) expect(await socket.receive({ timeout: 5_000 })).toBe(text);
  });

  test('keeps early messages, and the close behind them, for a loop that begins late', async () => {
    const { url } = await byteServer(
      (socket, knock) => {
        const goodbye = Buffer.from([0x88, 2, 1000 >> 8, 1000 & 255]);
        socket.end(Buffer.concat([Buffer.from(switching(knock)), serverText('first'), serverText('last'), goodbye]));
      },
      { secure },
    );
    const socket = await dial(url, { ca });
    expect((await socket.closed).code).toBe(1000);
    const heard: unknown[] = [];
    for await (const message of socket) heard.push(message);
    expect(heard).toEqual(['first', 'last']);
  });

  test('compresses when asked to, and does not offer it otherwise', async () => {
    const compressed = await pair({ perMessageDeflate: true }, { perMessageDeflate: true }, secure);
    expect(compressed.near.extensions).toBe('permessage-deflate');
    const text = 'again and '.repeat(10_000);
    compressed.far.send(text);
    expect(await compressed.near.receive()).toBe(text);
    compressed.near.send(text);
    expect(await compressed.far.receive()).toBe(text);

    const plain = await pair({}, { perMessageDeflate: true }, secure);
    expect(plain.headers['sec-websocket-extensions']).toBeUndefined();
  });
});

describe('the handshake says', () => {
  test('which headers, cookies and Origin it was told to', async () => {
    const { headers } = await pair(
      {
        headers: { Authorization: 'Bearer token', 'X-Several': ['one', 'two'], cookie: 'from=header' },
        cookies: { session: 'abc', theme: 'dark' },
        origin: 'https://example.com',
      },
      { checkOrigin: () => true },
    );
    expect(headers).toMatchObject({
      authorization: 'Bearer token',
      'x-several': 'one, two',
      cookie: 'from=header; session=abc; theme=dark',
      origin: 'https://example.com',
    });
  });

  test('no Origin by itself', async () => {
    const { headers } = await pair();
    expect(headers.origin).toBeUndefined();
  });

  test('who the URL says one is', async () => {
    const { url } = await bridge(false, (upgrader) => {
      upgrader.route('/', (socket, request) => socket.send(String(request.headers.authorization)));
    });
    const socket = await dial(url.replace('//', '//me:secret@'));
    onTestFinished(() => socket.terminate());
    expect(await socket.receive()).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
  });

  test.each([
    [{ 'Sec-WebSocket-Key': 'mine' }, 'Sec-WebSocket-Key'],
    [{ upgrade: 'h2c' }, 'upgrade'],
    [{ 'X-Split': 'one\r\nX-Two: two' }, 'X-Split'],
  ])('nothing that would unmake it: %o', async (headers, name) => {
    const error = await failure(dial('ws://localhost:1', { headers }));
    expect(error.code).toBe('INVALID_HEADER');
    expect(error.message).toContain(name);
  });

  test.each([{ session: 'a; b=c' }, { 'a=b': 'c' }])('no cookie that would be two: %o', async (cookies) => {
    expect((await failure(dial('ws://localhost:1', { cookies }))).code).toBe('INVALID_HEADER');
  });
});

describe('the subprotocol', () => {
  test("is the server's choice of those offered", async () => {
    const { near, headers } = await pair({ subprotocols: ['v2.chat', 'v1.chat'] }, { subprotocols: ['v1.chat'] });
    expect(headers['sec-websocket-protocol']).toBe('v2.chat,v1.chat');
    expect(near.protocol).toBe('v1.chat');
  });

  test('must be one of them', async () => {
    const { url, empty } = await byteServer((socket, knock) => {
      socket.write(switching(knock, { 'Sec-WebSocket-Protocol': 'v3.chat' }));
    });
    for (const subprotocols of [[], ['v1.chat']]) {
      expect((await failure(dial(url, { subprotocols }))).code).toBe('INVALID_HANDSHAKE');
    }
    await empty();
  });

  test('must be there if one was offered', async () => {
    const { url } = await bridge(false, (upgrader) => upgrader.route('/', () => {}));
    expect((await failure(dial(url, { subprotocols: ['v1.chat'] }))).code).toBe('INVALID_HANDSHAKE');
  });

  test.each([[['two words']], [['twice', 'twice']]])('must be a token, and stand once: %o', async (subprotocols) => {
    expect((await failure(dial('ws://localhost:1', { subprotocols }))).code).toBe('INVALID_OPTION');
  });
});

describe('the URL', () => {
  test('may be that of the page beside it', async () => {
    const { url } = await bridge(false, (upgrader) => upgrader.route('/echo', echo));
    const socket = await dial(new URL(`${url.replace('ws', 'http')}/echo`));
    expect(socket.url).toBe(`${url}/echo`);
    socket.close();
  });

  test('may lead to a Unix socket', async () => {
    const path = join(tmpdir(), `drawbridge-${process.pid}.sock`);
    const server = createServer();
    new Upgrader().route('/echo', echo).attach(server);
    await once(server.listen(path), 'listening');
    onTestFinished(() => void server.close());
    const socket = await dial(`ws+unix://${path}:/echo`, { proxy: 'environment' });
    socket.send('over a file');
    expect(await socket.receive()).toBe('over a file');
    socket.close();
    await socket.closed;
  });

  test.each(['/echo', 'ftp://localhost/', 'ws://localhost/#part', 'ws://', ''])('must be one: "%s"', async (url) => {
    expect((await failure(dial(url))).code).toBe('INVALID_OPTION');
  });

  test('is not repeated with its password', async () => {
    expect((await failure(dial('ftp://me:secret@localhost/'))).message).not.toContain('secret');
  });
});

describe('a dialled connection', () => {
  test('has the cookies that the 101 gave among its response headers', async () => {
    const { near } = await pair(
      {},
      {
        beforeUpgrade(_request, { headers }) {
          headers.append('Set-Cookie', 'seen=1; HttpOnly');
          return undefined;
        },
      },
    );
    expect(near.responseHeaders?.['set-cookie']).toEqual(['seen=1; HttpOnly']);
  });

  test('refuses messages above 1 MiB, or above its maxPayload', async () => {
    const standard = await pair();
    standard.far.send(Buffer.alloc(1024 * 1024));
    expect(await standard.near.receive()).toHaveLength(1024 * 1024);
    standard.far.send(Buffer.alloc(1024 * 1024 + 1));
    expect((await standard.far.closed).code).toBe(1009);

    const small = await pair({ maxPayload: 10 });
    small.far.send('eleven char');
    expect((await small.far.closed).code).toBe(1009);
  });

  test('is terminated when the server does not answer its pings', async () => {
    const { url } = await byteServer((socket, knock) => void socket.write(switching(knock)));
    const socket = await dial(url, { heartbeat: { interval: 40, timeout: 40 } });
    expect(await socket.closed).toMatchObject({ code: 1006 });
  });

  test('is closed with 4408 when nothing is said for long enough', async () => {
    const { far } = await pair({ idleTimeout: 40 });
    expect(await far.closed).toMatchObject({ code: 4408 });
  });

  test('tells onError what a listener throws, and closes with 1011', async () => {
    const told = latch<unknown[]>();
    const { near, far } = await pair({ onError: (error, { socket }) => told.open([error, socket]) });
    const mistake = new Error('a mistake');
    near.on('message', () => {
      throw mistake;
    });
    far.send('now');
    expect(await told.promise).toEqual([mistake, near]);
    expect((await far.closed).code).toBe(1011);
  });

  test('lives on when the signal that could have stopped its dialling fires', async () => {
    const control = new AbortController();
    const { near, far } = await pair({ signal: control.signal, timeout: 1_000 });
    control.abort();
    far.send('still here');
    expect(await near.receive({ timeout: 2_000 })).toBe('still here');
    near.send('so am I');
    expect(await far.receive({ timeout: 2_000 })).toBe('so am I');
  });

  test('lives longer than its handshake was allowed to take', async () => {
    const { near, far } = await pair({ timeout: 50 });
    await expect(near.receive({ timeout: 100 })).rejects.toMatchObject({ code: 'RECEIVE_TIMEOUT' });
    far.send('still here');
    expect(await near.receive({ timeout: 2_000 })).toBe('still here');
  });
});
