import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';

const handshake = [
  'GET /theirs HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

/** A client of a server where `shouldHandle` leaves everything to a neighbour. */
async function leftToNeighbour(): Promise<{ server: Server; client: Socket; left: Duplex }> {
  const server = createServer();
  new Upgrader({ shouldHandle: () => false }).route('/', () => {}).attach(server);
  const leaving = new Promise<Duplex>((resolve) => server.on('upgrade', (_request, socket) => resolve(socket)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.write(handshake);
  const left = await leaving;
  onTestFinished(() => {
    client.destroy();
    left.destroy();
    server.close();
  });
  return { server, client, left };
}

test.each(['destroy', 'end', 'resetAndDestroy'] as const)(
  'a client that goes (%s) before anybody has taken it leaves nothing',
  async (go) => {
    const { server, client } = await leftToNeighbour();
    client[go]();
    const count = (): Promise<number> => new Promise((done) => server.getConnections((_error, n) => done(n)));
    await expect.poll(count).toBe(0);
  },
);

test('who takes it late gets every byte, and its end as it likes', async () => {
  const { client, left } = await leftToNeighbour();
  client.write('early ');
  await new Promise(setImmediate);
  let text = '';
  left.on('data', (data: Buffer) => {
    text += data.toString();
  });
  client.end('and late');
  await once(left, 'end');
  expect(text).toBe('early and late');
  expect(left.destroyed).toBe(false);
  const answer = once(client, 'data');
  left.end('an answer');
  expect(String((await answer)[0])).toBe('an answer');
});
