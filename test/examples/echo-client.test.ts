import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Upgrader } from '@drawbridge/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program } from './program.js';

const client = (...args: string[]) => Program.run('examples/echo-client/dist/client.js', args).ended();

describe('the echo-client example', () => {
  let server: string;

  beforeAll(async () => {
    const url = await Program.run('examples/echo/dist/server.js', ['--host', 'http'], { PORT: '0' }).url();
    server = url.replace('http', 'ws');
  });
  afterAll(() => Program.endAll());

  it('prints what comes back', async () => {
    expect(await client(`${server}/echo`, 'hello', 'grüß Gott')).toEqual({
      code: 0,
      stdout: 'hello\ngrüß Gott\n',
      stderr: '',
    });
  });

  it('prints the answer, and quotes a server that closes otherwise than asked', async () => {
    const upgrader = new Upgrader().route('/loud', async (socket) => {
      for await (const message of socket) socket.send(String(message).toUpperCase());
    });
    upgrader.route('/busy', async (socket) => {
      await socket.receive();
      socket.close(1013, 'later');
    });
    const http = createServer().listen(0);
    upgrader.attach(http);
    await once(http, 'listening');
    const url = `ws://localhost:${(http.address() as AddressInfo).port}`;

    expect(await client(`${url}/loud`, 'hello')).toEqual({ code: 0, stdout: 'HELLO\n', stderr: '' });
    const { code, stderr } = await client(`${url}/busy`, 'hello');
    expect([code, stderr]).toEqual([1, 'The connection is closed: 1013 (later).\n']);
    await upgrader.close();
    http.close();
  });

  it('says nothing if it is given nothing to say', async () => {
    expect(await client(`${server}/echo`)).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  const usage = 'give it a URL, and what to say: ws://localhost:8080/echo "hello"; without that it reads lines.';
  it.each([
    [['SERVER/ohce', 'hello'], 'The server refused the handshake: 404 Not Found'],
    [['ws://localhost:1', 'hello'], 'Nothing listens at localhost:1; check the port, and whether the server runs.'],
    [['localhost', 'hello'], 'localhost is no WebSocket URL; give one as "wss://host/path", without "#".'],
    [[], `Whom to call? Please ${usage}`],
    [['--loud'], `There are no options; ${usage}`],
  ])('says in one sentence what is wrong with %j', async (args, sentence) => {
    expect(await client(...args.map((arg) => arg.replace('SERVER', server)))).toEqual({
      code: 1,
      stdout: '',
      stderr: `${sentence}\n`,
    });
  });
});
