import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type Connection, type DialOptions, dial, reconnecting } from '@drawbridge/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { failure } from '../dial/servers.js';
import { certificateFiles } from './certificate.js';
import { present } from './programs.js';

/** Answers each line with itself, and ends at "quit". */
const program = 'while read -r line; do [ "$line" = quit ] && exit; echo "$line"; done';

const installed = await present('websocketd', 'websocketd');
const { ca, cert, key } = await certificateFiles();

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe.skipIf(!installed).each([
  { scheme: 'ws', tls: [] },
  { scheme: 'wss', tls: ['--ssl', `--sslcert=${cert}`, `--sslkey=${key}`] },
])('websocketd, dialled over $scheme', ({ scheme, tls }) => {
  let stop = async (): Promise<void> => {};
  let options: DialOptions;
  let url: string;

  beforeAll(async () => {
    const port = await freePort();
    url = `${scheme}://127.0.0.1:${port}/`;
    options = { ca, origin: `${scheme.replace('ws', 'http')}://127.0.0.1:${port}` };
    const args = ['--address=127.0.0.1', `--port=${port}`, '--sameorigin', ...tls, 'sh', '-c', program];
    const websocketd = spawn('websocketd', args, { stdio: 'ignore' });
    stop = async () => {
      const ended = once(websocketd, 'exit');
      websocketd.kill();
      await ended;
    };
    await new Promise<void>((resolve) => {
      const link = reconnecting(url, {
        ...options,
        backoff: 20,
        maxDelay: 20,
        onOpen: () => link.close().then(resolve),
      });
    });
  });
  afterAll(() => stop());

  async function open(): Promise<Connection> {
    const socket = await dial(url, options);
    onTestFinished(() => socket.terminate());
    return socket;
  }

  test('carries lines to and fro', async () => {
    const socket = await open();
    for (const line of ['one', 'Zugbrücke', 'x'.repeat(10_000)]) {
      socket.send(line);
      expect(await socket.receive({ timeout: 10_000 })).toBe(line);
    }
  });

  test('ends with its program, without a close frame, and nothing that it said is lost', async () => {
    const socket = await open();
    const heard: unknown[] = [];
    const listening = (async () => {
      for await (const message of socket) heard.push(message);
    })();
    socket.send('last words');
    socket.send('quit');
    await expect(listening).rejects.toMatchObject({ name: 'ConnectionClosed', code: 1006, wasClean: false });
    expect(heard).toEqual(['last words']);
  });

  test('refuses a foreign Origin', async () => {
    const error = await failure(dial(url, { ...options, origin: 'https://evil.example' }));
    expect(error).toMatchObject({ code: 'HANDSHAKE_REFUSED', status: 403, body: expect.stringMatching(/^Forbidden/) });
  });
});
