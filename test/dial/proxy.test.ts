import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { type DialOptions, dial, HandshakeRefused, type UpgradeContext } from '@drawbridge/core';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { echo } from '../behaviour/echo.js';
import { authority, bridge, connectProxy, failure, head, listen } from './servers.js';

const ca = authority;

afterEach(() => void vi.unstubAllEnvs());

async function exchange(url: string, options: DialOptions): Promise<void> {
  const socket = await dial(`${url}/echo`, { ca, ...options });
  socket.send('there and back');
  expect(await socket.receive()).toBe('there and back');
  socket.send(Buffer.alloc(256 * 1024));
  expect(await socket.receive()).toHaveLength(256 * 1024);
  socket.close(1000);
  expect((await socket.closed).code).toBe(1000);
}

describe.each([
  { scheme: 'ws', secure: false },
  { scheme: 'wss', secure: true },
])('dial over $scheme', ({ secure }) => {
  const server = () => bridge(secure, (upgrader) => upgrader.route('/echo', { beforeUpgrade }, echo));
  const beforeUpgrade = (_request: IncomingMessage, { headers }: UpgradeContext): undefined => {
    headers.append('Set-Cookie', 'seen=1');
  };

  test.each([
    { kind: 'http', secureProxy: false },
    { kind: 'https', secureProxy: true },
  ])('goes through an $kind proxy', async ({ secureProxy }) => {
    const { url, host } = await server();
    const proxy = await connectProxy({ secure: secureProxy });
    await exchange(url, { proxy: proxy.url });
    expect(proxy.asked).toEqual([host]);
    expect(Buffer.concat(proxy.tunnelled).includes('GET /echo HTTP/1.1')).toBe(!secure);
    await proxy.empty();
  });

  test('tells a proxy who it is, by the URL', async () => {
    const { url } = await server();
    const proxy = await connectProxy({ password: 'me:s cret' });
    await exchange(url, { proxy: new URL(proxy.url.replace('//', '//me:s%20cret@')) });
  });

  test("is refused by a proxy in the proxy's own words: PROXY_REFUSED", async () => {
    const { url, sockets } = await server();
    const proxy = await connectProxy({ password: 'me:secret' });
    const error = await failure<HandshakeRefused>(dial(url, { ca, proxy: proxy.url, followRedirects: true }));
    expect(error).toBeInstanceOf(HandshakeRefused);
    expect(error).toMatchObject({ code: 'PROXY_REFUSED', status: 407, body: 'who are' });
    expect(sockets.size).toBe(0);
    await proxy.empty();
  });

  test('does not follow where only a proxy sends it', async () => {
    const { url } = await server();
    const elsewhere = await server();
    const proxy = createTcpServer((socket) => {
      socket.once('data', () =>
        socket.end(head('302 Found', { Location: `${elsewhere.url}/echo`, 'Content-Length': 0 })),
      );
    });
    const { host } = await listen(proxy);
    const error = await failure(dial(url, { ca, proxy: `http://${host}`, followRedirects: true }));
    expect(error).toMatchObject({ code: 'PROXY_REFUSED', status: 302 });
  });

  test('gives up with the proxy when the time is up or the signal fires, and leaves it', async () => {
    const { url } = await server();
    const silent = createTcpServer((socket) => void socket.resume());
    const { host, empty } = await listen(silent);
    for (const scheme of ['http', 'https']) {
      const proxy = `${scheme}://${host}`;
      expect((await failure(dial(url, { ca, proxy, timeout: 100 }))).code).toBe('DIAL_TIMEOUT');
      await empty();
      const control = new AbortController();
      silent.once('connection', () => control.abort());
      expect((await failure(dial(url, { ca, proxy, signal: control.signal }))).code).toBe('DIAL_ABORTED');
      await empty();
    }
  });

  test('says that a proxy cannot be used: PROXY_FAILED', async () => {
    const { url } = await server();
    const gone = createTcpServer();
    const { host } = await listen(gone);
    gone.close();
    await once(gone, 'close');
    const dropping = await listen(createTcpServer((socket) => void socket.end()));
    for (const proxy of [`http://${host}`, `http://${dropping.host}`, `https://${dropping.host}`]) {
      expect((await failure(dial(url, { ca, proxy }))).code).toBe('PROXY_FAILED');
    }
  });

  test('has a connection that outlives the signal that could have stopped its dialling', async () => {
    const { url } = await server();
    const proxy = await connectProxy();
    const control = new AbortController();
    const abort = (): void => control.abort();
    const cookies = { getCookieString: () => '', setCookie: abort };
    await exchange(url, { proxy: proxy.url, signal: control.signal, cookies });
    expect(control.signal.aborted).toBe(true);
  });

  test('asks the environment when told to', async () => {
    const { url, host, port } = await server();
    const proxy = await connectProxy();
    for (const name of [
      'http_proxy',
      'https_proxy',
      'HTTP_PROXY',
      'HTTPS_PROXY',
      'all_proxy',
      'ALL_PROXY',
      'no_proxy',
    ]) {
      vi.stubEnv(name, '');
    }
    vi.stubEnv(secure ? 'HTTPS_PROXY' : 'HTTP_PROXY', proxy.url);
    await exchange(url, { proxy: 'environment' });
    expect(proxy.asked).toEqual([host]);

    await exchange(url, {});
    for (const exception of ['localhost', host, `.example.com, localhost:${port}`, '*']) {
      vi.stubEnv('NO_PROXY', exception);
      await exchange(url, { proxy: 'environment' });
    }
    expect(proxy.asked).toEqual([host]);
  });
});

test("a certificate is held against the server's address, not the proxy's name", async () => {
  const { url } = await bridge(true, (upgrader) => upgrader.route('/echo', echo));
  const proxy = await connectProxy();
  const error = await failure(dial(url.replace('localhost', '127.0.0.1'), { ca, proxy: proxy.url }));
  expect(error).toMatchObject({ code: 'TLS_FAILED', cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
  await proxy.empty();
});

test.each(['socks5://localhost:1080', 'localhost:3128', 'not a url'])('"%s" is no HTTP proxy', async (proxy) => {
  expect((await failure(dial('ws://localhost:1', { proxy }))).code).toBe('INVALID_OPTION');
});

test('an environment that names another kind of proxy is not passed by', async () => {
  vi.stubEnv('no_proxy', '');
  vi.stubEnv('http_proxy', 'socks5://localhost:1080');
  expect((await failure(dial('ws://localhost:1', { proxy: 'environment' }))).code).toBe('INVALID_OPTION');
});
