import type { TLSSocket } from 'node:tls';
import { type DialOptions, dial, HandshakeRefused, Refusal, type Upgrader } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { authority, bridge, byteServer, failure, head, identity, type Knock } from './servers.js';

const ca = authority;

/** A server that sends everyone elsewhere, and what it was told by those it sent. */
async function signpost(
  location: (knock: Knock) => string,
  { status = '302 Found', secure = false } = {},
): Promise<{ url: string; knocks: Knock[]; empty(): Promise<void> }> {
  const knocks: Knock[] = [];
  const server = await byteServer(
    (socket, knock) => {
      knocks.push(knock);
      socket.end(head(status, { Location: location(knock), 'Content-Length': 0 }));
    },
    { secure },
  );
  return { ...server, knocks };
}

/** A Drawbridge that tells everyone the headers they came with. */
const mirror = (secure = false) =>
  bridge(secure, (upgrader) => upgrader.route('/mirror', (socket, { headers }) => socket.sendJSON(headers)), {
    checkOrigin: () => true,
  });

async function told(url: string, options: DialOptions): Promise<Record<string, string>> {
  const socket = await dial(url, { ca, followRedirects: true, ...options });
  const headers = await socket.receiveJSON<Record<string, string>>();
  socket.close();
  await socket.closed;
  return headers;
}

const secrets: DialOptions = {
  headers: { Authorization: 'Bearer secret', cookie: 'a=secret', 'X-Harmless': 'yes' },
  cookies: { b: 'secret' },
  origin: 'https://example.com',
};

describe('a redirect', () => {
  test.each([301, 302, 303, 307, 308])('by %i is followed, with what was meant for the same origin', async (status) => {
    const { url } = await bridge(
      false,
      (upgrader) => {
        const beforeUpgrade = () => {
          throw new Refusal(status, { headers: { Location: '/mirror' } });
        };
        upgrader.route('/old', { beforeUpgrade }, () => {});
        upgrader.route('/mirror', (socket, { headers }) => socket.sendJSON(headers));
      },
      { checkOrigin: () => true },
    );
    expect(await told(`${url}/old`, secrets)).toMatchObject({
      authorization: 'Bearer secret',
      cookie: 'a=secret; b=secret',
      'x-harmless': 'yes',
      origin: 'https://example.com',
    });
  });

  test('to another port takes no secrets along', async () => {
    const target = await mirror();
    const { url, knocks, empty } = await signpost(() => `${target.url}/mirror`);
    const headers = await told(url, secrets);
    expect(knocks[0]?.headers).toMatchObject({ authorization: 'Bearer secret', cookie: 'a=secret; b=secret' });
    expect(headers).toMatchObject({ 'x-harmless': 'yes', origin: 'https://example.com', host: target.host });
    expect(headers.authorization).toBeUndefined();
    expect(headers.cookie).toBeUndefined();
    await empty();
  });

  test('to another port takes no password of the URL along', async () => {
    const target = await mirror();
    const { url, knocks } = await signpost(() => `${target.url}/mirror`);
    const headers = await told(url.replace('//', '//me:secret@'), {});
    expect(knocks[0]?.headers.authorization).toMatch(/^Basic /);
    expect(headers.authorization).toBeUndefined();
  });

  test('that comes back from another origin has lost them', async () => {
    const knocks: Knock[] = [];
    const away = await signpost(() => `${home.url}/again`);
    const home = await byteServer((socket, knock) => {
      knocks.push(knock);
      if (knock.requestLine.includes('/again')) socket.end(head('403 Forbidden', { 'Content-Length': 0 }));
      else socket.end(head('302 Found', { Location: away.url, 'Content-Length': 0 }));
    });
    expect(await failure(dial(home.url, { followRedirects: true, ...secrets }))).toMatchObject({ status: 403 });
    expect(knocks.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret', undefined]);
  });

  test('from ws to wss is followed', async () => {
    const target = await mirror(true);
    const { url } = await signpost(() => `${target.url.replace('wss', 'https')}/mirror#part`);
    const headers = await told(url, secrets);
    expect(headers.host).toBe(target.host);
    expect(headers.authorization).toBeUndefined();
  });

  test('shows a client certificate to the first origin alone', async () => {
    const strict = { requestCert: true, rejectUnauthorized: false };
    const tell = (upgrader: Upgrader): void => {
      upgrader.route('/certificate', (socket, request) => {
        socket.sendJSON((request.socket as TLSSocket).getPeerCertificate().subject ?? 'none');
      });
    };
    const target = await bridge(strict, tell);
    const shown = async (url: string): Promise<unknown> => {
      const socket = await dial(url, { ca, ...identity, followRedirects: true });
      socket.close();
      return socket.receiveJSON();
    };
    expect(await shown(`${target.url}/certificate`)).toEqual({ CN: 'localhost' });
    const { url } = await signpost(() => `${target.url}/certificate`, { secure: true });
    expect(await shown(url)).toBe('none');
  });

  test('from wss to ws is not followed', async () => {
    const target = await mirror();
    const { url } = await signpost(() => `${target.url}/mirror`, { secure: true });
    expect(await failure(dial(url, { ca, followRedirects: true }))).toMatchObject({ status: 302 });
  });

  test.each(['ftp://localhost/', 'http://', 'file:///etc/passwd', 'ws+unix:///socket'])(
    'to %s is not followed',
    async (location) => {
      const { url } = await signpost(() => location);
      expect(await failure(dial(url, { followRedirects: true }))).toMatchObject({ status: 302 });
    },
  );

  test('in a circle ends: TOO_MANY_REDIRECTS', async () => {
    const { url, knocks, empty } = await signpost(() => '/');
    const error = await failure(dial(url, { followRedirects: true, maxRedirects: 3 }));
    expect(error).toMatchObject({ code: 'TOO_MANY_REDIRECTS', cause: expect.any(HandshakeRefused) });
    expect(knocks).toHaveLength(4);
    await empty();
  });

  test('counts towards the time that the whole may take', async () => {
    const { url, empty } = await signpost(() => '/');
    const error = await failure(dial(url, { followRedirects: true, maxRedirects: 1e9, timeout: 200 }));
    expect(error.code).toBe('DIAL_TIMEOUT');
    await empty();
  });
});
