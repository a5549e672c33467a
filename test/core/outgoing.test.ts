import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type Connection, dial, PreparedMessage, Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { countWrites, endOfTick } from '../behaviour/outgoing.js';

// What is sent from a server is in test/behaviour, for every host. Here is what no host has: the other end of a connection,
// and the path of a route, where a framework does the routing.

async function serve(): Promise<{ upgrader: Upgrader; url: string; heard: string[] }> {
  const heard: string[] = [];
  const hear = (socket: Connection): void => {
    socket.on('message', (data: Buffer, isBinary) => heard.push(`${isBinary ? 'binary' : 'text'} ${data}`));
    socket.on('ping', (data) => heard.push(`ping ${data}`));
    socket.on('close', (code) => heard.push(`close ${code}`));
  };
  const upgrader = new Upgrader();
  for (const path of ['/one', '/other']) upgrader.route(path, { perMessageDeflate: { threshold: 64 } }, hear);
  const server = createServer();
  upgrader.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    await upgrader.close({ timeout: 100 });
    server.close();
  });
  return { upgrader, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

test.each([false, true])(
  'what a dialled connection sends in one tick is one write, masked and in order (compressed: %s)',
  async (perMessageDeflate) => {
    const { upgrader, url, heard } = await serve();
    const socket = await dial(`${url}/one`, { perMessageDeflate });
    const { _socket: transport } = socket as unknown as { _socket: Socket };
    const writes = countWrites({ transport });
    const large = 'large'.repeat(20_000);
    socket.send('1');
    socket.ping('2');
    expect(upgrader.broadcast([socket], '3')).toBe(1);
    socket.send(new PreparedMessage('4'));
    expect(writes()).toBe(0);
    await endOfTick();
    if (!perMessageDeflate) expect(writes()).toBe(1);
    socket.send(large);
    socket.send('5', { fin: false });
    socket.ping('6');
    upgrader.broadcast([socket], Buffer.from('7'));
    socket.send('8', { fin: true });
    socket.close(1000);
    await socket.closed;
    await vi.waitFor(() => expect(heard.length).toBe(9), { interval: 1 });
    const expected = [
      'text 1',
      'ping 2',
      'text 3',
      'text 4',
      `text ${large}`,
      'ping 6',
      'text 58',
      'binary 7',
      'close 1000',
    ];
    expect(heard).toEqual(expected);
  },
);

test('a broadcast goes to the connections of a path', async () => {
  const { upgrader, url } = await serve();
  const [one, other] = [new WebSocket(`${url}/one`), new WebSocket(`${url}/other`)];
  const heard: string[] = [];
  one.on('message', (data) => heard.push(`one ${data}`));
  other.on('message', (data) => heard.push(`other ${data}`));
  await Promise.all([once(one, 'open'), once(other, 'open')]);
  expect(upgrader.broadcast(({ path }) => path === '/one', 'news')).toBe(1);
  await upgrader.close();
  expect(heard).toEqual(['one news']);
});
