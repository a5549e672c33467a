import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { type Dispatch, Refusal, Upgrader } from '@drawbridge/core';
import { generate } from 'selfsigned';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { latch } from '../behaviour/latch.js';
import { handshake } from '../behaviour/raw.js';

const long = 30 * 1024 * 1024;
const certificate = generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec', algorithm: 'sha256' });

const hosts = [
  {
    scheme: 'http',
    start: async () => createServer(),
    connected: 'connection',
    open: (port: number): Socket => connect(port, '127.0.0.1'),
  },
  {
    scheme: 'https',
    start: async () => {
      const { private: key, cert } = await certificate;
      return createSecureServer({ key, cert });
    },
    connected: 'secureConnection',
    open: (port: number): Socket => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }),
  },
];

describe.each(hosts)('$scheme', ({ start, connected, open }) => {
  /** A client that reads nothing yet, and the server's socket of it, when the framework has begun to answer its handshake. */
  async function refused(answer: Dispatch): Promise<{ client: Socket; socket: Socket }> {
    const upgrader = new Upgrader({ handshakeTimeout: 50, maxPendingUpgrades: 1 });
    const server = await start();
    const answering = latch();
    upgrader.attach(server, (upgrade) => {
      answer(upgrade);
      answering.open();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const accepted = once(server, connected);
    const client = open((server.address() as AddressInfo).port);
    client.pause();
    client.on('error', () => {});
    onTestFinished(() => {
      vi.useRealTimers();
      client.destroy();
      server.closeAllConnections();
      server.close();
    });
    const [socket] = await accepted;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    client.write(handshake({ authority: 'localhost' }));
    await answering.promise;
    vi.advanceTimersByTime(50);
    return { client, socket };
  }

  // As a framework does whose handler sends a large file, and as it is refused with a large page.
  const answers: [string, Dispatch][] = [
    ['its own', ({ response }) => void response.writeHead(200).write(Buffer.alloc(long))],
    ['a refusal', (upgrade) => upgrade.refuse(new Refusal(403, { body: 'x'.repeat(long) }))],
  ];

  test.each(answers)(
    'a client that takes nothing of a long answer (%s) does not hold its place for ever',
    async (_whose, answer) => {
      const { socket } = await refused(answer);
      expect(socket.destroyed).toBe(false);
      const closed = once(socket, 'close');
      for (let waited = 0; waited < 60 && !socket.destroyed; waited += 10) {
        await new Promise(setImmediate);
        vi.advanceTimersByTime(10_000);
      }
      await closed;
      expect(socket.destroyed).toBe(true);
    },
  );

  test.each(answers)(
    'a client that takes a long answer (%s) slowly is not cut off, though it is a single write',
    async (_whose, answer) => {
      const { client } = await refused(answer);
      let read = 0;
      client.on('data', (data: Buffer) => {
        read += data.length;
      });
      for (let part = 1; part <= 3; part++) {
        client.resume();
        while (read < part * 8 * 1024 * 1024 && !client.destroyed) await new Promise(setImmediate);
        client.pause();
        vi.advanceTimersByTime(10_000);
      }
      client.resume();
      while (read < long && !client.destroyed) await new Promise(setImmediate);
      expect(read).toBeGreaterThanOrEqual(long);
    },
  );

  test('an answer that has begun may take the time that it needs to go on', async () => {
    const { client, socket } = await refused(({ response }) => void response.writeHead(200).write('half'));
    for (let waited = 0; waited < 60; waited += 10) {
      await new Promise(setImmediate);
      vi.advanceTimersByTime(10_000);
    }
    expect(socket.destroyed).toBe(false);
    expect(client.destroyed).toBe(false);
  });

  test('an answer that has waited for its reader is no longer said to wait', async () => {
    const { client } = await refused(async ({ response }) => {
      while (response.write(Buffer.alloc(64 * 1024)));
      await once(response, 'drain');
      Readable.from(['the rest']).pipe(response);
    });
    let tail = '';
    client.on('data', (data: Buffer) => {
      tail = (tail + data.toString('latin1')).slice(-400);
    });
    await once(client.resume(), 'end');
    expect(tail).toContain('the rest');
  });
});
