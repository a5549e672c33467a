import { allowOrigins, anyOrigin, Refusal } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { echo } from './echo.js';
import { type Host, hosts, type Plan, type Site, serve } from './hosts/index.js';
import { knock } from './raw.js';

type Headers = Record<string, string | string[]>;

const plan = (options: Plan['options'] = {}): Plan => ({ options, routes: [{ path: '/echo', handler: echo }] });

/** The status that a handshake with these headers gets; a refusal is read to its end, so no 101 can follow it. */
async function verdict(site: Site, headers: Headers): Promise<number> {
  const wire = await knock(site, { headers });
  const { status } = await wire.response();
  if (status !== 101) {
    await wire.ending();
    expect(wire.unread.length).toBe(0);
  }
  return status;
}

const schemeOf = ({ secure }: Host) => (secure ? 'https' : 'http');

describe.each(hosts)('$name: the Origin', (host) => {
  const scheme = schemeOf(host);
  const defaultPort = host.secure ? 443 : 80;

  test('may be absent: that is no browser', async () => {
    const site = await serve(host, plan());
    expect(await verdict(site, {})).toBe(101);
  });

  test("may be the server's own", async () => {
    const site = await serve(host, plan());
    expect(await verdict(site, { Origin: `${scheme}://${site.authority}` })).toBe(101);
  });

  const same: Record<string, Headers> = {
    'by name': { Host: 'example.com', Origin: `${scheme}://example.com` },
    'with the default port written out in the Host': {
      Host: `example.com:${defaultPort}`,
      Origin: `${scheme}://example.com`,
    },
    'with the default port written out in the Origin': {
      Host: 'example.com',
      Origin: `${scheme}://example.com:${defaultPort}`,
    },
    'with an upper-case Host': { Host: 'EXAMPLE.com:8080', Origin: `${scheme}://example.com:8080` },
    'with an upper-case Origin': { Host: 'example.com', Origin: `${scheme.toUpperCase()}://Example.COM` },
    'over IPv6': { Host: '[::1]:8080', Origin: `${scheme}://[::1]:8080` },
    'over IPv6 on the default port': { Host: '[2001:db8::1]', Origin: `${scheme}://[2001:DB8::1]:${defaultPort}` },
  };
  test.each(Object.entries(same))('passes as the same %s', async (_name, headers) => {
    const site = await serve(host, plan());
    expect(await verdict(site, headers)).toBe(101);
  });

  const foreign: Record<string, string | string[]> = {
    'another host': `${scheme}://example.org`,
    'another port': `${scheme}://example.com:8080`,
    'another scheme': 'ftp://example.com',
    'the scheme of WebSocket itself': `${host.secure ? 'wss' : 'ws'}://example.com`,
    null: 'null',
    'an empty one': '',
    'two fields': [`${scheme}://example.com`, `${scheme}://example.com`],
    'a list': `${scheme}://example.com ${scheme}://example.org`,
    'a host with ours at its end': `${scheme}://evilexample.com`,
    'a host with ours at its beginning': `${scheme}://example.com.evil.example`,
    'ours as userinfo': `${scheme}://example.com@evil.example`,
    'ours behind userinfo': `${scheme}://user@example.com`,
    'ours with a path': `${scheme}://example.com/`,
    'ours as a fragment': `${scheme}://evil.example#example.com`,
    'ours behind a backslash': `${scheme}://evil.example\\@example.com`,
    'a subdomain of ours': `${scheme}://www.example.com`,
    'only a host': 'example.com',
  };
  test.each(Object.entries(foreign))('refuses %s', async (_name, origin) => {
    const site = await serve(host, plan());
    expect(await verdict(site, { Host: 'example.com', Origin: origin })).toBe(403);
  });

  test('that is refused gets a whole 403, and no route hears of it', async () => {
    const heard: string[] = [];
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          handler: () => void heard.push('handler'),
          options: { beforeUpgrade: () => void heard.push('beforeUpgrade') },
        },
      ],
    });
    const response = await (await knock(site, { headers: { Origin: 'http://evil.example' } })).lastResponse();
    expect(response.status).toBe(403);
    expect(response.header('content-length')).toBe(String(response.body.length));
    expect(heard).toEqual([]);
  });

  if (host.secure) {
    test('of plain http is another one to a TLS server', async () => {
      const site = await serve(host, plan());
      expect(await verdict(site, { Origin: `http://${site.authority}` })).toBe(403);
    });
  } else {
    test('of https is the same to a plain server, which may stand behind TLS', async () => {
      const site = await serve(host, plan());
      expect(await verdict(site, { Host: 'example.com', Origin: 'https://example.com' })).toBe(101);
    });
  }

  describe('behind a proxy', () => {
    const forwarded = { Host: 'inside:3000', 'X-Forwarded-Host': 'example.com', 'X-Forwarded-Proto': 'https' };

    test.each([true, 1, 'loopback', ['10.0.0.0/8', '127.0.0.0/8']])(
      'trusted by %j is the one it forwarded',
      async (trustProxy) => {
        const site = await serve(host, plan({ trustProxy }));
        expect(await verdict(site, { ...forwarded, Origin: 'https://example.com' })).toBe(101);
        expect(await verdict(site, { ...forwarded, Origin: 'http://example.com' })).toBe(403);
        expect(await verdict(site, { ...forwarded, Origin: 'https://inside:3000' })).toBe(403);
      },
    );

    test.each([undefined, false, '10.0.0.0/8'])('not trusted (%j) is what the Host says', async (trustProxy) => {
      const site = await serve(host, plan(trustProxy === undefined ? {} : { trustProxy }));
      expect(await verdict(site, { ...forwarded, Origin: 'https://example.com' })).toBe(403);
      expect(await verdict(site, { ...forwarded, Origin: `${scheme}://inside:3000` })).toBe(101);
    });
  });

  describe('on a list', () => {
    const checkOrigin = allowOrigins('https://example.com', 'http://localhost:5173', 'https://*.example.net');

    test.each([
      ['https://example.com', 101],
      ['https://EXAMPLE.com:443', 101],
      ['http://localhost:5173', 101],
      ['https://a.example.net', 101],
      ['https://a.b.example.net', 101],
      ['http://example.com', 403],
      ['https://example.com:8443', 403],
      ['https://localhost:5173', 403],
      ['http://localhost', 403],
      ['https://example.net', 403],
      ['http://a.example.net', 403],
      ['https://a.example.net:8443', 403],
      ['https://.example.net', 403],
      ['https://aexample.net', 403],
      ['https://a.example.net.evil.example', 403],
      ['https://evil.example/.example.net', 403],
      ['https://evil.example?.example.net', 403],
      ['https://a.example.net@evil.example', 403],
      ['null', 403],
    ])('%s gets %i', async (origin, status) => {
      const site = await serve(host, plan({ checkOrigin }));
      expect(await verdict(site, { Origin: origin })).toBe(status);
    });

    test('is not asked of clients that send none', async () => {
      const site = await serve(host, plan({ checkOrigin }));
      expect(await verdict(site, {})).toBe(101);
    });
  });

  test('may be any, where the application says so', async () => {
    const site = await serve(host, plan({ checkOrigin: anyOrigin() }));
    expect(await verdict(site, { Origin: 'https://evil.example' })).toBe(101);
    expect(await verdict(site, { Origin: 'null' })).toBe(101);
  });

  test("is judged by the route's own policy before the application's", async () => {
    const site = await serve(host, {
      options: { checkOrigin: () => false },
      routes: [{ path: '/open', options: { checkOrigin: anyOrigin() } }, { path: '/echo' }],
    });
    expect((await (await knock(site, { path: '/open' })).response()).status).toBe(101);
    expect((await (await knock(site, { path: '/echo' })).lastResponse()).status).toBe(403);
  });

  test.each([
    ['a function', (origin: string | undefined) => origin === 'app://desktop'],
    ['an asynchronous function', async (origin: string | undefined) => origin === 'app://desktop'],
  ])('may be judged by %s', async (_name, checkOrigin) => {
    const site = await serve(host, plan({ checkOrigin }));
    expect(await verdict(site, { Origin: 'app://desktop' })).toBe(101);
    expect(await verdict(site, { Origin: `${scheme}://${site.authority}` })).toBe(403);
    expect(await verdict(site, {})).toBe(403);
  });

  test('may be judged with a view to the request', async () => {
    const checkOrigin = (_origin: string | undefined, request: { headers: object }) => 'x-pass' in request.headers;
    const site = await serve(host, plan({ checkOrigin }));
    expect(await verdict(site, { 'X-Pass': '1' })).toBe(101);
    expect(await verdict(site, {})).toBe(403);
  });

  test('may be refused in the words of the policy', async () => {
    const checkOrigin = () => {
      throw new Refusal(451, {
        headers: { Link: '<https://example.com>; rel="blocked-by"' },
        body: 'not in your country',
      });
    };
    const site = await serve(host, plan({ checkOrigin }));
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(451);
    expect(response.header('link')).toBe('<https://example.com>; rel="blocked-by"');
    expect(response.body.toString()).toBe('not in your country');
  });

  const fault = new Error('no table called tenants');
  test.each([
    [
      'throws',
      () => {
        throw fault;
      },
    ],
    ['rejects', () => Promise.reject(fault)],
  ])('policy that %s refuses with 500, is reported once, and keeps its words inside', async (_name, checkOrigin) => {
    const errors: unknown[] = [];
    const site = await serve(host, plan({ checkOrigin, onError: (error) => errors.push(error) }));
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(500);
    expect(response.body.toString()).not.toContain('tenants');
    expect(errors).toEqual([fault]);
  });
});
