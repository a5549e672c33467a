import { Channel, channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DiagnosticsMessages } from '@drawbridge/core';
import { attach, websocket } from '@drawbridge/express';
import express, { type ErrorRequestHandler } from 'express';
import express4 from 'express4';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { hosts, serve } from './hosts/index.js';
import { knock } from './raw.js';

type Name = keyof DiagnosticsMessages;
type Told = { [N in Name]: [N, DiagnosticsMessages[N]] }[Name];

const names: Name[] = [
  'drawbridge:upgrade:start',
  'drawbridge:upgrade:refused',
  'drawbridge:upgrade:accepted',
  'drawbridge:connection:closed',
  'drawbridge:error',
];

/** All that is told on the channels until the test is over. */
function listen(): Told[] {
  const told: Told[] = [];
  for (const name of names) {
    const note = (message: unknown): void => void told.push([name, message] as Told);
    subscribe(name, note);
    onTestFinished(() => void unsubscribe(name, note));
  }
  return told;
}

describe.each(hosts)('$name: diagnostics', (host) => {
  test('tell of an upgrade, its acceptance and its end', async () => {
    const told = listen();
    const site = await serve(host, { routes: [{ path: '/echo', handler: echo }] });
    const client = await dial(site, '/echo');
    const [connection] = site.upgrader.connections;
    for (const text of ['one', 'two', 'three']) await exchange(client, text);
    client.close(4000, 'done');
    await vi.waitFor(() => expect(told.length).toBe(3), { interval: 2 });
    const [start, accepted, closed] = told;
    expect(start).toMatchObject(['drawbridge:upgrade:start', { request: { url: '/echo' } }]);
    expect(accepted?.[0]).toBe('drawbridge:upgrade:accepted');
    expect(accepted?.[1]).toMatchObject({ request: { url: '/echo' } });
    expect((accepted?.[1] as { socket?: unknown } | undefined)?.socket).toBe(connection);
    expect(closed?.[0]).toBe('drawbridge:connection:closed');
    const obituary = closed?.[1] as DiagnosticsMessages['drawbridge:connection:closed'] | undefined;
    const { socket, duration = -1, bytesIn = 0, bytesOut = 0, ...rest } = { ...obituary };
    expect(rest).toEqual({ code: 4000, reason: 'done', wasClean: true, messagesIn: 3, messagesOut: 3 });
    expect(socket).toBe(connection);
    expect(duration).toBeGreaterThanOrEqual(0);
    expect(duration).toBeLessThan(5_000);
    expect(bytesIn).toBeGreaterThan(100);
    expect(bytesOut).toBeGreaterThan(100);
    expect(bytesIn + bytesOut).toBeLessThan(10_000);
  });

  test('tell of refusals, with the status and why', async () => {
    const told = listen();
    const site = await serve(host, {
      options: { maxPendingUpgrades: 5, handshakeTimeout: 30 },
      routes: [
        { path: '/' },
        { path: '/close', options: { refusals: 'close' } },
        { path: '/gate', gates: [({ answer }) => answer(401, {}, 'no')] },
        { path: '/slow', gates: [() => new Promise(() => {})] },
      ],
    });
    const origin = { headers: { Origin: 'https://evil.example' } };
    await (await knock(site, { path: '/', ...origin })).lastResponse();
    await (await knock(site, { path: '/', headers: { 'Sec-WebSocket-Version': '12' } })).lastResponse();
    await (await knock(site, { path: '/gate' })).lastResponse();
    await (await knock(site, { path: '/slow' })).lastResponse();
    await (await knock(site, { path: '/none' })).lastResponse();
    const client = await dial(site, '/close', { origin: 'https://evil.example' });
    await new Promise((resolve) => client.once('close', resolve));
    const refused = told.filter(([name]) => name === 'drawbridge:upgrade:refused').map(([, message]) => message);
    expect(
      refused.map((message) => {
        const { request, status, code } = message as DiagnosticsMessages['drawbridge:upgrade:refused'];
        return [request.url, status, code];
      }),
    ).toEqual([
      ['/', 403, 'ORIGIN_REFUSED'],
      ['/', 426, 'REFUSED_426'],
      ['/gate', 401, host.name.startsWith('http') ? 'REFUSED_401' : 'APPLICATION'],
      ['/slow', 408, 'HANDSHAKE_TIMEOUT'],
      ['/none', 404, host.name === 'fastify5' ? 'APPLICATION' : 'NO_ROUTE'],
      ['/close', 403, 'ORIGIN_REFUSED'],
    ]);
    expect(told.filter(([name]) => name === 'drawbridge:upgrade:start').length).toBe(6);
    expect(told.filter(([name]) => name === 'drawbridge:upgrade:accepted')).toEqual([]);
    expect(told.filter(([name]) => name === 'drawbridge:connection:closed')).toEqual([]);
  });

  test('tell of errors what onError is told', async () => {
    const told = listen();
    const reported: unknown[] = [];
    const site = await serve(host, {
      options: { onError: (error) => reported.push(error) },
      routes: [
        {
          path: '/',
          handler: () => {
            throw new Error('a fault');
          },
        },
        {
          path: '/policy',
          options: {
            beforeUpgrade: () => {
              throw new Error('a policy with a fault');
            },
          },
        },
      ],
    });
    await dial(site, '/').then((client) => new Promise((resolve) => client.once('close', resolve)));
    await (await knock(site, { path: '/policy' })).response();
    const errors = told.filter(([name]) => name === 'drawbridge:error').map(([, message]) => message);
    expect(errors.map((message) => (message as DiagnosticsMessages['drawbridge:error']).error)).toEqual(reported);
    expect(errors).toMatchObject([
      { error: { message: 'a fault' }, request: { url: '/' } },
      { error: { message: 'a policy with a fault' }, request: { url: '/policy' } },
    ]);
  });

  test('cost nothing when nobody subscribes: nothing is published', async () => {
    const published = vi.spyOn(Channel.prototype, 'publish');
    onTestFinished(() => published.mockRestore());
    const site = await serve(host, {
      options: { onError: () => {} },
      routes: [
        { path: '/', handler: echo },
        { path: '/fault', handler: () => Promise.reject(new Error('a fault')) },
      ],
    });
    const client = await dial(site, '/');
    await exchange(client, 'hi');
    client.close();
    await dial(site, '/fault').then((socket) => new Promise((resolve) => socket.once('close', resolve)));
    await (await knock(site, { path: '/', headers: { Origin: 'https://evil.example' } })).lastResponse();
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0), { interval: 2 });
    const ours = published.mock.contexts.filter((one) => String((one as Channel).name).startsWith('drawbridge:'));
    expect(ours).toEqual([]);
    expect(channel('drawbridge:error').hasSubscribers).toBe(false);
  });
});

test.each([
  ['express4', express4],
  ['express5', express],
])("%s: a refusal that the application's own error handler words keeps its code", async (_, createApplication) => {
  const told = listen();
  const app = createApplication();
  app.get(
    '/',
    websocket(() => {}),
  );
  const render: ErrorRequestHandler = (error, _request, response, _next) => {
    response.status(418).json({ sorry: error.code });
  };
  app.use(render);
  const server = createServer(app);
  const upgrader = attach(server, app);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    await upgrader.close({ timeout: 0 });
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const site = { port, secure: false, authority: `127.0.0.1:${port}` };
  const wire = await knock(site as never, { path: '/', headers: { Origin: 'https://evil.example' } });
  expect((await wire.response()).status).toBe(418);
  await vi.waitFor(() => expect(told.length).toBe(2), { interval: 2 });
  expect(told[1]).toMatchObject(['drawbridge:upgrade:refused', { status: 418, code: 'ORIGIN_REFUSED' }]);
});
