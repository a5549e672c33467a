import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test, vi } from 'vitest';
import { watchProcess } from '../behaviour/census.js';
import { latch } from '../behaviour/latch.js';
import { handshake, requestHead, textFrame } from '../behaviour/raw.js';

const site = { authority: 'localhost' };
const get = requestHead('GET / HTTP/1.1', { Host: 'localhost' });
const second = requestHead('GET /second HTTP/1.1', { Host: 'localhost' });
const chunk = Buffer.alloc(64 * 1024, 'x');

/** A client whose handshake comes in one packet with ordinary requests before it. */
async function pipeline(
  listener: RequestListener,
  packet: (string | Buffer)[] = [get, handshake(site)],
): Promise<{ server: Server; client: Socket }> {
  const upgrader = new Upgrader();
  upgrader.route('/echo', (socket) => {
    socket.send('open');
    socket.on('message', (data) => socket.send(`heard ${data}`));
  });
  const server = createServer(listener);
  upgrader.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.on('error', () => {});
  onTestFinished(async () => {
    vi.useRealTimers();
    client.destroy();
    await upgrader.close({ timeout: 0 });
    server.closeAllConnections();
    server.close();
  });
  client.write(Buffer.concat(packet.map((part) => Buffer.from(part))));
  return { server, client };
}

/** As `pipeline`, and gives the earlier request, not answered yet, when the handshake behind it waits. */
async function waiting(packet?: (string | Buffer)[]): Promise<{
  server: Server;
  client: Socket;
  request: IncomingMessage;
  response: ServerResponse;
}> {
  const asked = latch<[IncomingMessage, ServerResponse]>();
  const { server, client } = await pipeline((...args) => asked.open(args), packet);
  const [request, response] = await asked.promise;
  return { server, client, request, response };
}

/** Counts all that comes, and keeps the last of it. */
function read(client: Socket): { length: number; tail: string } {
  const all = { length: 0, tail: '' };
  client.on('data', (data: Buffer) => {
    all.length += data.length;
    all.tail = (all.tail + data.toString('latin1')).slice(-400);
  });
  return all;
}

async function writeLong(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Length': 200 * chunk.length });
  for (let i = 0; i < 200; i++) if (!response.write(chunk)) await once(response, 'drain');
  response.end();
}

async function expectNobodyLeft(server: Server): Promise<void> {
  const count = (): Promise<number> => new Promise((done) => server.getConnections((_error, n) => done(n)));
  await expect.poll(count).toBe(0);
}

test.each([
  ['resets', [], (client: Socket) => client.resetAndDestroy()],
  ['closes', [], (client: Socket) => client.destroy()],
  ['half-closes', [], (client: Socket) => client.end()],
  ['has sent early bytes, and half-closes', [textFrame('early')], (client: Socket) => client.end()],
])('a client that %s before the earlier answer is known to have gone, and leaves nothing', async (_way, early, go) => {
  const { server, client, request, response } = await waiting([get, handshake(site), ...early]);
  // As Node tells it without the upgrade.
  const told = Promise.all([
    once(request, 'error'),
    new Promise((resolve) => request.once('close', resolve)),
    once(response, 'close'),
  ]);
  client.once('end', () => client.destroy());
  client.resume();
  go(client);
  const [[error]] = await told;
  expect([error.code, error.message, request.destroyed]).toEqual(['ECONNRESET', 'aborted', true]);
  await expectNobodyLeft(server);
});

test('an earlier answer that has to wait for its reader is written whole, and then the 101', async () => {
  const { client } = await pipeline((_request, response) => void writeLong(response));
  const all = read(client);
  await expect.poll(() => all.tail, { timeout: 10_000 }).toContain('open');
  expect(all.tail).toContain('xHTTP/1.1 101 Switching Protocols');
  expect(all.length).toBeGreaterThan(200 * chunk.length);
});

test('a client that was not read from for the sake of earlier answers is heard by the WebSocket behind them', async () => {
  const { client } = await pipeline((_request, response) => void writeLong(response), [get, second, handshake(site)]);
  const all = read(client);
  await expect.poll(() => all.tail, { timeout: 10_000 }).toContain('open');
  client.write(textFrame('me'));
  await expect.poll(() => all.tail).toContain('heard me');
});

test('an earlier answer is no longer said to wait when it has waited', async () => {
  const { client } = await pipeline(async (_request, response) => {
    while (response.write(chunk));
    await once(response, 'drain');
    Readable.from(['the rest']).pipe(response);
  });
  const all = read(client);
  await expect.poll(() => all.tail, { timeout: 5_000 }).toContain('open');
  expect(all.tail).toContain('the rest');
});

test('answers that have begun are whole for a client that half-closes, and then it is over', async () => {
  const { server, client } = await pipeline(
    (request, response) => void (request.url === '/' ? writeLong(response) : response.end('the second')),
    [get, second, handshake(site), textFrame('early')],
  );
  client.end();
  // Its end has come before it reads.
  await new Promise(setImmediate);
  const all = read(client);
  await once(client, 'end');
  expect(all.tail).toMatch(/xHTTP\/1\.1 200 OK\r\n.*the second$/s);
  expect(all.length).toBeGreaterThan(200 * chunk.length);
  await expectNobodyLeft(server);
});

test('a failure of the socket after an earlier answer that is the last is nobody else’s', async () => {
  const faults = watchProcess();
  const { request, response } = await waiting();
  const closed = latch();
  request.socket.once('close', () => closed.open());
  await new Promise(setImmediate);
  response.once('finish', () => request.socket.destroy(new Error('It failed.')));
  response.writeHead(200, { Connection: 'close' }).end('the last');
  await closed.promise;
  await new Promise(setImmediate);
  expect(faults).toEqual([]);
});

/** Lets the time go by, ten seconds at a time, until it is so. */
async function timeGoesBy(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 6 && !isSo(); i++) {
    await new Promise(setImmediate);
    vi.advanceTimersByTime(10_000);
  }
  await new Promise(setImmediate);
}

test('a client that takes nothing of an earlier answer does not hold its place for ever', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  const { server, request, response } = await waiting();
  response.write(Buffer.alloc(30 * 1024 * 1024));
  await timeGoesBy(() => request.socket.destroyed);
  expect(request.socket.destroyed).toBe(true);
  await expectNobodyLeft(server);
});

test('a client that has half-closed does not wait for ever for an earlier answer that does not go on', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  const { server, client, request, response } = await waiting();
  response.writeHead(200).write('half');
  client.end();
  await once(request.socket, 'end');
  expect(request.socket.destroyed).toBe(false);
  await timeGoesBy(() => request.socket.destroyed);
  expect(request.socket.destroyed).toBe(true);
  await expectNobodyLeft(server);
});

test('an earlier answer may take the time that it needs', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  const { client, request, response } = await waiting();
  const all = read(client);
  await timeGoesBy(() => request.socket.destroyed);
  response.write('half');
  await timeGoesBy(() => request.socket.destroyed);
  expect(request.socket.destroyed).toBe(false);
  response.end('whole');
  await expect.poll(() => all.tail).toContain('open');
  expect(all.tail).toContain('whole');
});

test('the timeout that an earlier answer asked for is told to it', async () => {
  const { request, response } = await waiting();
  response.setTimeout(20);
  await once(response, 'timeout');
  expect(request.socket.destroyed).toBe(false);
});

test('a timeout that nobody hears ends the connection, as it does without the upgrade', async () => {
  const { server, request } = await waiting();
  request.socket.setTimeout(20);
  await expectNobodyLeft(server);
});

test('the time that Node leaves between requests does not run for the one that has waited', async () => {
  const behind = requestHead('GET /behind HTTP/1.1', { Host: 'localhost', Connection: 'Upgrade', Upgrade: 'h2c' });
  const served = latch<number | undefined>();
  await pipeline(
    (request, response) => {
      if (request.url === '/behind') served.open(request.socket.timeout);
      setImmediate(() => response.end());
    },
    [get, behind],
  );
  expect(await served.promise).toBe(0);
});
