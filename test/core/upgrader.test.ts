import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { allowOrigins, type Dispatch, type PendingUpgrade, Refusal, Upgrader } from '@drawbridge/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { echo } from '../behaviour/echo.js';
import { knock, textFrame, type Wire } from '../behaviour/raw.js';

type Address = Parameters<typeof knock>[0];

async function listen(server: Server): Promise<Address> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, secure: false, authority: `127.0.0.1:${port}` };
}

async function knockAt(address: Address, changes?: Parameters<typeof knock>[1]): Promise<Wire> {
  const wire = await knock(address, changes);
  onTestFinished(() => wire.reset());
  return wire;
}

function codeOf(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

describe('handleUpgrade', () => {
  const upgrader = new Upgrader().route('/echo', echo);
  const ownListener = () =>
    createServer().on('upgrade', (request, socket, head) => {
      if (request.url === '/mine')
        return void socket.end('HTTP/1.1 418 Mine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      upgrader.handleUpgrade(request, socket, head);
    });

  test('serves those who own their listener', async () => {
    const address = await listen(ownListener());
    const wire = await knockAt(address);
    expect((await wire.response()).status).toBe(101);
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
    expect((await (await knockAt(address, { path: '/mine' })).lastResponse()).status).toBe(418);
  });

  test('decides whatever it is given', async () => {
    const address = await listen(ownListener());
    expect((await (await knockAt(address, { path: '/nowhere' })).lastResponse()).status).toBe(404);
    expect((await (await knockAt(address, { method: 'POST' })).lastResponse()).status).toBe(405);
    expect((await (await knockAt(address, { headers: { Upgrade: 'h2c' } })).lastResponse()).status).toBe(426);
  });
});

describe('a pending upgrade', () => {
  async function decide(dispatch: Dispatch): Promise<Wire> {
    const server = createServer();
    new Upgrader().attach(server, dispatch);
    return knockAt(await listen(server));
  }

  const again = (upgrade: PendingUpgrade) => [
    codeOf(() => upgrade.refuse(new Refusal(402))),
    codeOf(() => upgrade.pass()),
    upgrade.decided,
  ];

  test('is refused once', async () => {
    let outcome: unknown[] = [];
    const wire = await decide((upgrade) => {
      upgrade.refuse(new Refusal(401));
      outcome = again(upgrade);
    });
    expect((await wire.lastResponse()).status).toBe(401);
    expect(outcome).toEqual(['ALREADY_DECIDED', 'ALREADY_DECIDED', true]);
  });

  test('is accepted once', async () => {
    let outcome: unknown[] = [];
    const upgrader = new Upgrader();
    const server = createServer();
    upgrader.attach(server, (upgrade) => {
      void upgrader.compile({}, echo).admit(upgrade, upgrade.request);
      outcome = again(upgrade);
    });
    const wire = await knockAt(await listen(server));
    expect((await wire.response()).status).toBe(101);
    expect(outcome).toEqual(['ALREADY_DECIDED', 'ALREADY_DECIDED', true]);
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test('is passed on once, and gets 404 where nobody else listens', async () => {
    let outcome: unknown[] = [];
    const wire = await decide((upgrade) => {
      upgrade.pass();
      outcome = again(upgrade);
    });
    expect((await wire.lastResponse()).status).toBe(404);
    expect(outcome).toEqual(['ALREADY_DECIDED', 'ALREADY_DECIDED', true]);
  });

  test('whose client has gone may be decided without a word', async () => {
    const outcome = new Promise<unknown[]>((resolve) => {
      void decide((upgrade) => {
        upgrade.signal.addEventListener('abort', () => {
          const { code } = upgrade.signal.reason;
          resolve([code, upgrade.decided, codeOf(() => upgrade.refuse(new Refusal(401)))]);
        });
      }).then((wire) => wire.halfClose());
    });
    expect(await outcome).toEqual(['CLIENT_GONE', true, undefined]);
  });
});

describe('what is wrong in a program is a coded error at once:', () => {
  test.each([
    ['two routes for one path', () => new Upgrader().route('/a', echo).route('/a', echo), 'ROUTE_EXISTS'],
    ['a path that is none', () => new Upgrader().route('a', echo), 'INVALID_OPTION'],
    ['a route without a handler', () => new Upgrader().route('/a', {}, undefined as never), 'INVALID_OPTION'],
    [
      'a subprotocol that is no token',
      () => new Upgrader().route('/a', { subprotocols: ['a b'] }, echo),
      'INVALID_OPTION',
    ],
    ['a maxPayload that is no size', () => new Upgrader().route('/a', { maxPayload: -1 }, echo), 'INVALID_OPTION'],
    ['a handshakeTimeout that is no time', () => new Upgrader({ handshakeTimeout: Number.NaN }), 'INVALID_OPTION'],
    ['a trustProxy that is no address', () => new Upgrader({ trustProxy: 'localhost!' }), 'INVALID_OPTION'],
    ['an origin with a path', () => allowOrigins('https://example.com/'), 'INVALID_ORIGIN_PATTERN'],
    ['an origin without a scheme', () => allowOrigins('*.example.com'), 'INVALID_ORIGIN_PATTERN'],
    ['a header of a refusal with a line break', () => new Refusal(401, { headers: { X: 'a\r\nb' } }), 'INVALID_HEADER'],
  ])('%s', (_name, mistake, code) => {
    expect(codeOf(mistake)).toBe(code);
  });

  test('attaching twice', () => {
    const server = createServer();
    const upgrader = new Upgrader().attach(server);
    expect(codeOf(() => upgrader.attach(server))).toBe('ALREADY_ATTACHED');
    upgrader.detach(server).attach(server);
    expect(server.listenerCount('upgrade')).toBe(1);
  });
});
