import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import type { Plan } from '../behaviour/hosts/host.js';
import { hosts, serve } from '../behaviour/hosts/index.js';
import { present } from '../interop/programs.js';
import { changed, type Front, haproxy, nginx, startFront, terminator } from './front.js';
import { programs, startProgram } from './programs.js';
import { hear, publicOrigin, visit, visitorAddress } from './visitor.js';

const installed = { nginx: await present('nginx', 'nginx'), haproxy: await present('haproxy', 'haproxy') };
const plainHosts = hosts.filter(({ name }) => ['http', 'express5', 'fastify5'].includes(name));
const page = join(import.meta.dirname, '../../docs/origins-and-proxies.md');

const foreign = { Origin: 'https://evil.example' };
const refused = [403, 'This origin may not connect here.'];

test('the programs of the page are those that are run here', async () => {
  const written = [...(await readFile(page, 'utf8')).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '');
  const run = await programs();
  expect(written.length).toBeGreaterThan(0);
  expect(written.filter((code) => !run.some((program) => program.includes(code)))).toEqual([]);
});

describe.skipIf(!installed.nginx)('behind nginx', () => {
  test.each([
    ['http', 426],
    ['express', 404],
    ['fastify', 404],
  ])('that does not pass Upgrade on, %s sees an ordinary request', async (program, status) => {
    const front = await startFront(
      changed(nginx, {
        'proxy_set_header Upgrade           $http_upgrade;': '',
        'proxy_set_header Connection        $connection_upgrade;': '',
      }),
      await startProgram(program),
    );
    expect((await hear(front, '/whoami', { Origin: publicOrigin }))[0]).toBe(status);
  });

  test('that does not pass the Host on, every page is refused', async () => {
    const front = await startFront(
      changed(nginx, {
        'proxy_set_header Host              $http_host;': '',
        'proxy_set_header X-Forwarded-Host  $http_host;': '',
      }),
      await startProgram('http'),
    );
    expect(await hear(front, '/whoami', { Origin: publicOrigin })).toEqual(refused);
  });
});

describe.skipIf(!installed.nginx || !installed.haproxy)('behind a proxy', () => {
  const proxies = [nginx, haproxy].flatMap((proxy) =>
    ['http', 'express', 'fastify'].map((program) => ({ proxy, program, name: `${proxy.name}, ${program}` })),
  );

  describe.each(proxies)('$name', ({ proxy, program }) => {
    const start = async () => startFront(proxy, await startProgram(program));

    test('accepts a page of the public origin and sees its visitor', async () => {
      const seen = [101, `${visitorAddress} by https to example.com`];
      expect(await hear(await start(), '/whoami', { Origin: publicOrigin })).toEqual(seen);
    });

    test('knows a port that is not the default one', async () => {
      const front = await start();
      const Host = `example.com:${front.port}`;
      const [status] = await hear(front, '/whoami', { Host, Origin: `https://${Host}` });
      const [other] = await hear(front, '/whoami', { Host, Origin: publicOrigin });
      expect([status, other]).toEqual([101, 403]);
    });

    test.each(['https://evil.example', 'http://example.com', 'https://example.com:8080', 'null'])(
      'refuses a page of %s',
      async (Origin) => {
        expect(await hear(await start(), '/whoami', { Origin })).toEqual(refused);
      },
    );

    test('does not believe what a visitor says that proxies saw', async () => {
      const forged = {
        'X-Forwarded-For': '192.0.2.1',
        'X-Forwarded-Host': 'evil.example',
        'X-Forwarded-Proto': 'http',
      };
      const front = await start();
      const seen = [101, `${visitorAddress} by https to example.com`];
      expect(await hear(front, '/whoami', { ...forged, Origin: publicOrigin })).toEqual(seen);
      expect(await hear(front, '/whoami', { ...forged, ...foreign })).toEqual(refused);
    });
  });

  test('a policy of its own widens the default', async () => {
    const front = await startFront(haproxy, await startProgram('policies'));
    const verdicts = async (path: string) =>
      Promise.all(
        [publicOrigin, 'https://www.example.com', 'https://a.partner.example', foreign.Origin].map(
          async (Origin) => (await hear(front, path, { Origin }))[0],
        ),
      );
    expect(await verdicts('/feed')).toEqual([101, 101, 403, 403]);
    expect(await verdicts('/shared')).toEqual([101, 403, 101, 403]);
    expect(await verdicts('/public')).toEqual([101, 101, 101, 101]);
  });
});

describe.skipIf(!installed.haproxy).each(plainHosts)('behind a TLS terminator, $name', (host) => {
  let address: string | undefined;
  const plan: Plan = {
    options: {
      beforeUpgrade(_request, { site }) {
        address = site.address;
      },
    },
    routes: [{ path: '/greeting', handler: (socket) => socket.send('welcome') }],
  };
  const start = async () => startFront(terminator, (await serve(host, plan)).port);

  test('accepts a page of the public origin, though nobody said that there is TLS', async () => {
    const front = await start();
    expect(await hear(front, '/greeting', { Origin: publicOrigin })).toEqual([101, 'welcome']);
    expect(await hear(front, '/greeting', { Origin: 'http://example.com' })).toEqual([101, 'welcome']);
  });

  test('refuses another', async () => {
    expect(await hear(await start(), '/greeting', foreign)).toEqual(refused);
  });

  test('believes nobody about addresses and names', async () => {
    const front = await start();
    const forged = { 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Host': 'evil.example' };
    expect(await hear(front, '/greeting', { ...forged, Origin: publicOrigin })).toEqual([101, 'welcome']);
    expect(address).toBe('127.0.0.1');
    expect(await hear(front, '/greeting', { ...forged, ...foreign })).toEqual(refused);
  });
});

describe.skipIf(!installed.nginx || !installed.haproxy)('the idle time-out of', () => {
  const impatient = [nginx, haproxy, terminator].map((proxy) => changed(proxy, { '60s': '1s' }));
  const interval = 300;
  const plan: Plan = {
    routes: [
      { path: '/silent', options: { heartbeat: false } },
      {
        path: '/beating',
        options: { heartbeat: { interval } },
        handler: (socket) => socket.on('message', (data) => socket.send(String(data))),
      },
      {
        path: '/listening',
        options: { heartbeat: { interval } },
        handler(socket) {
          let heard = 0;
          socket.on('message', () => ++heard === 15 && socket.send('enough'));
        },
      },
    ],
  };

  test.each(impatient)('$name cuts a silent connection, and none that has a heartbeat', async (proxy) => {
    const outcomes = plainHosts.map(async (host) => {
      const front = await startFront(proxy, (await serve(host, plan)).port);
      const verdicts = await Promise.all([leaveAlone(front), beat(front), talk(front)]);
      return [host.name, ...verdicts];
    });
    const expected = plainHosts.map(({ name }) => [name, 'cut off: 1006', 'still here', 'enough']);
    expect(await Promise.all(outcomes)).toEqual(expected);
  });
});

/** A visitor whom nobody says anything, and who says nothing. */
async function leaveAlone(front: Front): Promise<string> {
  return end(visit(front, '/silent'));
}

/** A visitor who is silent but for the heartbeat, for longer than the proxy waits. */
async function beat(front: Front): Promise<string> {
  const socket = visit(front, '/beating');
  const ended = end(socket);
  await Promise.race([pings(socket, 5), ended]);
  if (socket.readyState === socket.OPEN) socket.send('still here');
  return Promise.race([once(socket, 'message').then(([data]) => String(data)), ended]);
}

/** A visitor who talks for longer than the proxy waits, before anybody answers. */
async function talk(front: Front): Promise<string> {
  const socket = visit(front, '/listening');
  await once(socket, 'open');
  const timer = setInterval(() => socket.send('and then'), 100);
  return Promise.race([once(socket, 'message').then(([data]) => String(data)), end(socket)]).finally(() =>
    clearInterval(timer),
  );
}

async function end(socket: WebSocket): Promise<string> {
  const [code] = await once(socket, 'close');
  return `cut off: ${code}`;
}

/** Waits for so many pings. */
async function pings(socket: WebSocket, count: number): Promise<void> {
  for (let seen = 0; seen < count; seen++) await once(socket, 'ping');
}
