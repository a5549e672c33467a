import { createServer } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { DrawbridgeError, dial, HandshakeRefused, Refusal } from '@drawbridge/core';
import { describe, expect, test, vi } from 'vitest';
import { watchProcess } from '../behaviour/census.js';
import { authority, bridge, byteServer, failure, head, type Knock, listen, switching } from './servers.js';

const ca = authority;
const MiB = 1024 * 1024;

describe.each([
  { scheme: 'ws', secure: false },
  { scheme: 'wss', secure: true },
])('a refused handshake over $scheme', ({ secure }) => {
  test('rejects with the whole answer', async () => {
    const { url, empty } = await bridge(secure, (upgrader) => {
      const beforeUpgrade = () => {
        throw new Refusal(401, {
          headers: { 'WWW-Authenticate': 'Bearer', 'X-Two': ['a', 'b'] },
          body: 'Wer da? Äh …',
        });
      };
      upgrader.route('/', { beforeUpgrade }, () => {});
    });
    const error = await failure<HandshakeRefused>(dial(url, { ca }));
    expect(error).toBeInstanceOf(HandshakeRefused);
    expect(error).toMatchObject({
      code: 'HANDSHAKE_REFUSED',
      status: 401,
      body: 'Wer da? Äh …',
      truncated: false,
      message: 'The server refused the handshake: 401 Unauthorized',
    });
    expect(error.headers).toMatchObject({ 'www-authenticate': 'Bearer', 'x-two': 'a, b' });
    await empty();
  });

  test('over a body in chunks, too', async () => {
    const { url, empty } = await byteServer(
      (socket) => {
        socket.write(head('503 Service Unavailable', { 'Transfer-Encoding': 'chunked', 'Retry-After': '7' }));
        socket.write('4\r\nback\r\n');
        socket.write('5\r\n soon\r\n0\r\n\r\n');
      },
      { secure },
    );
    const error = await failure<HandshakeRefused>(dial(url, { ca }));
    expect(error).toMatchObject({ status: 503, body: 'back soon', truncated: false });
    expect(error.headers['retry-after']).toBe('7');
    await empty();
  });

  test.each([
    [MiB, false],
    [MiB + 1, true],
    [8 * MiB, true],
  ])('keeps of a body of %i bytes what is below 1 MiB', async (length, truncated) => {
    const { url, empty } = await byteServer(
      (socket) => socket.write(head('404 Not Found', { 'Content-Length': length }) + 'x'.repeat(length)),
      { secure },
    );
    const error = await failure<HandshakeRefused>(dial(url, { ca }));
    expect(error.body).toHaveLength(MiB);
    expect(error.truncated).toBe(truncated);
    await empty();
  });

  test('is known even if its body never ends', async () => {
    const { url, empty } = await byteServer(
      (socket) => void socket.write(`${head('403 Forbidden', { 'Content-Length': 100 })}because`),
      { secure },
    );
    const error = await failure(dial(url, { ca, timeout: 300 }));
    expect(error).toMatchObject({ status: 403, body: 'because', truncated: true });
    await empty();
  });

  test('is known even if its body breaks off', async () => {
    const { url, empty } = await byteServer(
      (socket) => void socket.end(`${head('403 Forbidden', { 'Content-Length': 100 })}because`),
      { secure },
    );
    expect(await failure(dial(url, { ca }))).toMatchObject({ status: 403, body: 'because', truncated: true });
    await empty();
  });
});

test('a redirect is a refusal, unless it is to be followed', async () => {
  const { url } = await byteServer((socket) =>
    socket.end(head('302 Found', { Location: '/other', 'Content-Length': 0 })),
  );
  const error = await failure<HandshakeRefused>(dial(url));
  expect(error.status).toBe(302);
  expect(error.headers.location).toBe('/other');
});

describe('a server that cannot be reached', () => {
  test('has no address: DNS_FAILED', async () => {
    // A label has room for 63 letters (RFC 1035 section 2.3.4), so no resolver is asked for this.
    const error = await failure(dial(`ws://${'x'.repeat(64)}.invalid/`));
    expect(error).toBeInstanceOf(DrawbridgeError);
    expect(error).toMatchObject({ code: 'DNS_FAILED', cause: { syscall: 'getaddrinfo' } });
  });

  test('has nothing that listens: CONNECTION_REFUSED', async () => {
    const server = createTcpServer();
    const { port, host } = await listen(server);
    server.close();
    for (const authority of [`127.0.0.1:${port}`, host]) {
      const error = await failure(dial(`ws://${authority}/`));
      expect(error).toMatchObject({ code: 'CONNECTION_REFUSED', cause: { code: 'ECONNREFUSED' } });
      expect(error.message).toContain(authority);
    }
  });

  test('ends the connection instead of an answer: CONNECTION_FAILED', async () => {
    const closing = await byteServer((socket) => void socket.end());
    expect(await failure(dial(closing.url))).toMatchObject({
      code: 'CONNECTION_FAILED',
      cause: { code: 'ECONNRESET' },
    });
    const resetting = await byteServer((socket) => void socket.resetAndDestroy());
    expect((await failure(dial(resetting.url))).code).toBe('CONNECTION_FAILED');
  });
});

describe('TLS_FAILED', () => {
  test('with a certificate that nobody vouches for', async () => {
    const { url, empty } = await bridge(true, () => {});
    expect(await failure(dial(url))).toMatchObject({
      code: 'TLS_FAILED',
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    });
    await empty();
  });

  test('with the certificate of another', async () => {
    const { port, empty } = await bridge(true, () => {});
    const error = await failure(dial(`wss://127.0.0.1:${port}`, { ca }));
    expect(error).toMatchObject({ code: 'TLS_FAILED', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
    await empty();
  });

  test('at a server that speaks none', async () => {
    const { port } = await bridge(false, () => {});
    expect((await failure(dial(`wss://localhost:${port}`, { ca }))).code).toBe('TLS_FAILED');
  });

  test('where the connection breaks before it is secure', async () => {
    const { host } = await listen(
      createTcpServer((socket) => void socket.once('data', () => socket.resetAndDestroy())),
    );
    expect((await failure(dial(`wss://${host}`, { ca }))).code).toBe('TLS_FAILED');
  });
});

describe('INVALID_HANDSHAKE', () => {
  const wrong: Record<string, (knock: Knock) => string> = {
    'a wrong Sec-WebSocket-Accept': (knock) => switching({ ...knock, accept: 'bm90IHRoZSBhbnN3ZXIgdG8gaXQ=' }),
    'no Sec-WebSocket-Accept': () => head('101 Switching Protocols', { Upgrade: 'websocket', Connection: 'Upgrade' }),
    'a 101 that names no upgrade': () => head('101 Switching Protocols'),
    'another protocol': (knock) => switching(knock, { Upgrade: 'h2c' }),
    'a subprotocol that was not asked for': (knock) => switching(knock, { 'Sec-WebSocket-Protocol': 'chat' }),
    'an extension that was not asked for': (knock) =>
      switching(knock, { 'Sec-WebSocket-Extensions': 'permessage-deflate' }),
    'what is no HTTP': () => 'SSH-2.0-OpenSSH_9.2\r\n',
  };
  test.each(Object.entries(wrong))('is %s', async (_name, answer) => {
    const { url, empty } = await byteServer((socket, knock) => void socket.write(answer(knock)));
    const error = await failure(dial(url));
    expect(error.code).toBe('INVALID_HANDSHAKE');
    expect(error.cause).toBeInstanceOf(Error);
    await empty();
  });
});

/** Servers at which a handshake goes on for ever, each at another step. */
const endless: Record<string, () => Promise<{ url: string; empty(): Promise<void> }>> = {
  'that says nothing': () => byteServer(() => {}),
  'that says nothing of TLS': async () => {
    const listening = await listen(createTcpServer((socket) => void socket.resume()));
    return { ...listening, url: `wss://${listening.host}` };
  },
  'that says a header now and then': () =>
    byteServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const drip = setInterval(() => socket.write('X-More: to come\r\n'), 20);
      socket.once('close', () => clearInterval(drip));
    }),
};

describe.each(Object.entries(endless))('a server %s', (_name, start) => {
  test('is given up when the time is up: DIAL_TIMEOUT', async () => {
    const { url, empty } = await start();
    const error = await failure(dial(url, { ca, timeout: 200 }));
    expect(error.code).toBe('DIAL_TIMEOUT');
    expect(error.message).toContain('200 ms');
    await empty();
  });

  test('is given up when the signal fires: DIAL_ABORTED', async () => {
    const { url, empty } = await start();
    const control = new AbortController();
    const dialling = failure(dial(url, { ca, signal: control.signal, timeout: 0 }));
    setTimeout(() => control.abort('enough'), 50);
    expect(await dialling).toMatchObject({ code: 'DIAL_ABORTED', cause: 'enough' });
    await empty();
  });
});

describe('a signal', () => {
  test('that has fired before lets nothing be dialled', async () => {
    const { url, sockets } = await byteServer(() => {});
    const signal = AbortSignal.abort(new Error('too late'));
    expect(await failure(dial(url, { signal }))).toMatchObject({
      code: 'DIAL_ABORTED',
      cause: { message: 'too late' },
    });
    expect(sockets.size).toBe(0);
  });

  test('that fires while the name is looked up', async () => {
    const control = new AbortController();
    const error = await failure(
      dial('ws://example.invalid', { signal: control.signal, lookup: () => void setImmediate(() => control.abort()) }),
    );
    expect(error.code).toBe('DIAL_ABORTED');
  });

  test('that fires in the midst of a refusal is obeyed', async () => {
    const control = new AbortController();
    const { url, empty } = await byteServer((socket) => {
      socket.write(`${head('403 Forbidden', { 'Content-Length': 100 })}because`);
      setTimeout(() => control.abort(), 50);
    });
    expect((await failure(dial(url, { signal: control.signal }))).code).toBe('DIAL_ABORTED');
    await empty();
  });

  test('keeps no listener of ours', async () => {
    const { url } = await bridge(false, (upgrader) => upgrader.route('/', () => {}));
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, 'addEventListener');
    const remove = vi.spyOn(signal, 'removeEventListener');
    (await dial(url, { signal })).close();
    await failure(dial(`${url}/nowhere`, { signal }));
    expect(add).toHaveBeenCalledTimes(2);
    for (const [type, listener] of add.mock.calls) expect(remove).toHaveBeenCalledWith(type, listener);
  });
});

describe('INVALID_OPTION', () => {
  test.each([
    { timeout: -1 },
    { maxPayload: 1.5 },
    { heartbeat: { interval: 0 } },
    { maxQueuedMessages: -1 },
    { lookup: 'not a function' as never },
    { origin: 'https://example.com\n' },
  ])('is %o', async (options) => {
    expect((await failure(dial('ws://localhost:1', options))).code).toBe('INVALID_OPTION');
  });

  test('is a key that is none', async () => {
    expect((await failure(dial('wss://localhost:1', { key: 'no key' }))).code).toBe('INVALID_OPTION');
  });
});

test('what a server does at the same time as its refusal ends nothing else', async () => {
  const faults = watchProcess();
  const server = createServer();
  server.on('upgrade', (_request, socket: Socket) => {
    socket.write(`${head('500 Internal Server Error', { 'Content-Length': 2 })}no`);
    socket.resetAndDestroy();
  });
  const { host, empty } = await listen(server);
  const results = await Promise.all(Array.from({ length: 50 }, () => failure(dial(`ws://${host}`))));
  for (const error of results) expect(['HANDSHAKE_REFUSED', 'CONNECTION_FAILED']).toContain(error.code);
  await empty();
  expect(faults).toEqual([]);
});
