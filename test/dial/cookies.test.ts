import type { IncomingMessage } from 'node:http';
import { dial, HandshakeRefused, Refusal, type UpgradeContext } from '@drawbridge/core';
import { CookieJar } from 'tough-cookie';
import { describe, expect, test } from 'vitest';
import { latch } from '../behaviour/latch.js';
import { authority, bridge, byteServer, failure, head, switching } from './servers.js';

const ca = authority;

describe.each([
  { scheme: 'ws', secure: false },
  { scheme: 'wss', secure: true },
])('a cookie jar over $scheme', ({ secure }) => {
  test('keeps what the 101 gave, and gives it the next time', async () => {
    const seen: unknown[] = [];
    const { url } = await bridge(secure, (upgrader) => {
      const beforeUpgrade = (request: IncomingMessage, { headers }: UpgradeContext): undefined => {
        seen.push(request.headers.cookie);
        headers.append('Set-Cookie', `session=${seen.length}; HttpOnly`);
        if (secure) headers.append('Set-Cookie', 'locked=yes; Secure');
      };
      upgrader.route('/', { beforeUpgrade }, (socket) => socket.close());
    });
    const cookies = new CookieJar();
    for (let times = 0; times < 3; times++) await (await dial(url, { ca, cookies })).closed;
    const locked = secure ? '; locked=yes' : '';
    expect(seen).toEqual([undefined, `session=1${locked}`, `session=2${locked}`]);
  });

  test('keeps what a refusal gave', async () => {
    const { url } = await bridge(secure, (upgrader) => {
      const beforeUpgrade = () => {
        throw new Refusal(401, { headers: { 'Set-Cookie': ['a=1', 'b=2; Path=/elsewhere'] } });
      };
      upgrader.route('/', { beforeUpgrade }, () => {});
    });
    const cookies = new CookieJar();
    expect(await failure(dial(url, { ca, cookies }))).toBeInstanceOf(HandshakeRefused);
    expect(await cookies.getCookieString(url.replace('ws', 'http'))).toBe('a=1');
  });
});

test('a jar decides itself which cookies go where a redirect leads to', async () => {
  const received: unknown[] = [];
  const target = await byteServer((socket, knock) => {
    received.push(knock.headers.cookie);
    socket.end(head('403 Forbidden', { 'Content-Length': 0 }));
  });
  const { url } = await byteServer((socket, knock) => {
    received.push(knock.headers.cookie);
    const fields = { Location: target.url.replace('localhost', '127.0.0.1'), 'Set-Cookie': 'late=1' };
    socket.end(head('302 Found', { ...fields, 'Content-Length': 0 }));
  });
  const cookies = new CookieJar();
  await cookies.setCookie('early=1', url.replace('ws', 'http'));
  await failure(dial(url, { cookies, followRedirects: true }));
  expect(received).toEqual(['early=1', undefined]);
  expect(await cookies.getCookieString(url.replace('ws', 'http'))).toBe('early=1; late=1');
});

test('a cookie that the jar does not take is left out, and a jar that fails is reported', async () => {
  const { url } = await byteServer((socket, knock) => {
    socket.write(switching(knock, { 'Set-Cookie': 'foreign=1; Domain=example.com' }));
  });
  const cookies = new CookieJar();
  const strict = await dial(url, { cookies });
  strict.terminate();
  expect(await cookies.serialize()).toMatchObject({ cookies: [] });

  const reported = latch<unknown>();
  const broken = { getCookieString: () => '', setCookie: () => Promise.reject(new Error('the disk is full')) };
  const socket = await dial(url, { cookies: broken, onError: (error) => reported.open(error) });
  expect(socket.readyState).toBe(socket.OPEN);
  expect(await reported.promise).toMatchObject({ message: 'the disk is full' });
  socket.terminate();
});

test('a jar that does not answer is not waited for longer than the handshake may take', async () => {
  const cookies = { getCookieString: () => new Promise<string>(() => {}), setCookie() {} };
  expect((await failure(dial('ws://localhost:1', { cookies, timeout: 50 }))).code).toBe('DIAL_TIMEOUT');
});
