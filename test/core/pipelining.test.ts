import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';

const handshake = [
  'GET /echo HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

/** A client whose handshake comes in one packet with an ordinary request. */
async function pipeline(listener: RequestListener): Promise<{ server: Server; client: Socket }> {
  const upgrader = new Upgrader();
  upgrader.route('/echo', (socket) => socket.send('open'));
  const server = createServer(listener);
  upgrader.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  onTestFinished(async () => {
    client.destroy();
    await upgrader.close({ timeout: 0 });
    server.closeAllConnections();
    server.close();
  });
  client.write(`GET / HTTP/1.1\r\nHost: localhost\r\n\r\n${handshake}`);
  return { server, client };
}

test.each(['destroy', 'end'] as const)(
  'a client that goes (%s) before the earlier answer leaves nothing',
  async (go) => {
    const { promise: closed, resolve } = deferred();
    const { promise: asked, resolve: ask } = deferred();
    const { server, client } = await pipeline((_request, response) => {
      response.once('close', resolve);
      ask();
    });
    await asked;
    client[go]();
    await closed;
    const count = (): Promise<number> => new Promise((done) => server.getConnections((_error, n) => done(n)));
    await expect.poll(count).toBe(0);
  },
);

test('an earlier answer that has to wait for its reader is written whole, and then the 101', async () => {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const { client } = await pipeline(async (_request, response) => {
    response.writeHead(200, { 'Content-Length': 200 * chunk.length });
    for (let i = 0; i < 200; i++) if (!response.write(chunk)) await once(response, 'drain');
    response.end();
  });
  let length = 0;
  let tail = '';
  client.on('data', (data: Buffer) => {
    length += data.length;
    tail = (tail + data.toString('latin1')).slice(-400);
  });
  await expect.poll(() => tail, { timeout: 10_000 }).toContain('open');
  expect(tail).toContain('xHTTP/1.1 101 Switching Protocols');
  expect(length).toBeGreaterThan(200 * chunk.length);
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
