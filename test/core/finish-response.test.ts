import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';
import { knock, type Wire } from '../behaviour/raw.js';

/** Knocks at a server whose framework finishes the response of an accepted upgrade in its own way. */
async function knockAt(finish: (response: ServerResponse) => void): Promise<Wire> {
  const upgrader = new Upgrader();
  const route = upgrader.compile({}, (socket) => socket.send('accepted'));
  const server = createServer();
  upgrader.attach(server, (upgrade) => {
    const { response } = upgrade;
    upgrade.finishResponse = () => finish(response);
    void route.admit(upgrade, upgrade.request);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    server.close();
    await upgrader.close({ timeout: 0 });
  });
  const { port } = server.address() as AddressInfo;
  const wire = await knock({ port, secure: false, authority: `127.0.0.1:${port}` } as never);
  onTestFinished(() => wire.reset());
  return wire;
}

test('headers that a framework gives to writeHead as it finishes the 101 are on it', async () => {
  const wire = await knockAt((response) => response.writeHead(101, { 'Set-Cookie': ['a=1', 'b=2'] }).end());
  const response = await wire.response();
  expect(response.status).toBe(101);
  expect(response.all('set-cookie')).toEqual(['a=1', 'b=2']);
  expect(await wire.text()).toBe('accepted');
});

test('what a framework answers instead of the 101 as it finishes is the refusal, whole', async () => {
  const body = 'x'.repeat(64 * 1024);
  const wire = await knockAt((response) => response.writeHead(500, { 'Content-Length': body.length }).end(body));
  const response = await wire.lastResponse();
  expect(response.status).toBe(500);
  expect(response.body.toString()).toBe(body);
});
