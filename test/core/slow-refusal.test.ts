import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test, vi } from 'vitest';

test('a client that takes nothing of a long answer does not hold its place for ever', async () => {
  const upgrader = new Upgrader({ handshakeTimeout: 50, maxPendingUpgrades: 1 });
  const server = createServer();
  // As a framework does whose handler sends a large file.
  const answering = new Promise<void>((resolve) => {
    upgrader.attach(server, ({ response }) => {
      response.writeHead(200);
      response.write(Buffer.alloc(30 * 1024 * 1024));
      resolve();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.pause();
  client.on('error', () => {});
  onTestFinished(() => {
    vi.useRealTimers();
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const [socket] = await accepted;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  client.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await answering;
  vi.advanceTimersByTime(50);
  expect(socket.destroyed).toBe(false);
  const closed = once(socket, 'close');
  for (let waited = 0; waited < 60 && !socket.destroyed; waited += 10) {
    await new Promise(setImmediate);
    vi.advanceTimersByTime(10_000);
  }
  await closed;
  expect(socket.destroyed).toBe(true);
});

test('a client that takes a long answer slowly is not cut off, though the answer is a single write', async () => {
  const upgrader = new Upgrader({ handshakeTimeout: 50, maxPendingUpgrades: 1 });
  const server = createServer();
  // As a framework does whose handler sends a large file.
  const answering = new Promise<void>((resolve) => {
    upgrader.attach(server, ({ response }) => {
      response.writeHead(200);
      response.write(Buffer.alloc(30 * 1024 * 1024));
      resolve();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const accepted = once(server, 'connection');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.pause();
  client.on('error', () => {});
  onTestFinished(() => {
    vi.useRealTimers();
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const [socket] = await accepted;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  client.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await answering;
  vi.advanceTimersByTime(50);
  let read = 0;
  client.on('data', (data: Buffer) => {
    read += data.length;
  });
  for (let part = 1; part <= 3; part++) {
    client.resume();
    while (read < part * 8 * 1024 * 1024 && !socket.destroyed) await new Promise(setImmediate);
    client.pause();
    vi.advanceTimersByTime(10_000);
  }
  expect(socket.destroyed).toBe(false);
});
