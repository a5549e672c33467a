import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Program } from './program.js';

const script = 'examples/echo/dist/server.js';
const echo = (args: string[] = [], environment: NodeJS.ProcessEnv = { PORT: '0' }) =>
  Program.run(script, args, environment);

afterEach(() => Program.endAll());

describe.each(['express', 'fastify', 'http'])('the echo example on %s', (host) => {
  it('serves its page, and echoes text and binary', async () => {
    const url = await echo(['--host', host]).url();
    const page = await fetch(url);
    expect(page.headers.get('content-type')).toMatch('text/html');
    expect(await page.text()).toContain('<title>Drawbridge echo</title>');

    const socket = new WebSocket(`${url.replace('http', 'ws')}/echo`, ['v9.echo', 'v1.echo']);
    await once(socket, 'open');
    expect(socket.protocol).toBe('v1.echo');
    socket.send('hello');
    expect(await once(socket, 'message')).toEqual([Buffer.from('hello'), false]);
    socket.send(Buffer.from([0, 255]));
    expect(await once(socket, 'message')).toEqual([Buffer.from([0, 255]), true]);
    socket.terminate();
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('drains on %s, whoever is connected, and exits with 0', async (signal) => {
    const program = echo(['--host', host]);
    const url = new URL(await program.url());
    const socket = new WebSocket(`ws://${url.host}/echo`);
    await once(socket, 'open');
    const silent = connect(Number(url.port), 'localhost');
    silent.on('error', () => {});
    await once(silent, 'connect');
    await (await fetch(url)).text();

    program.signal(signal);
    expect((await once(socket, 'close'))[0]).toBe(1001);
    expect(await program.ended()).toMatchObject({ code: 0, stderr: '' });
    silent.destroy();
  });

  it('says in one sentence that its port is taken', async () => {
    const first = await echo(['--host', host]).url();
    const { port } = new URL(first);
    const second = await echo(['--host', host], { PORT: port }).ended();
    expect(second).toEqual({
      code: 1,
      stdout: '',
      stderr: `Port ${port} is taken; choose another with PORT or --port.\n`,
    });
  });
});

describe('the command line of the echo example', () => {
  it('runs on Express if nothing else is said, with or without the -- of a package manager', async () => {
    for (const [args, host] of [
      [[], 'express'],
      [['--', '--host', 'http'], 'http'],
      [['--', '--host=fastify'], 'fastify'],
    ] as const) {
      const program = echo([...args]);
      await program.url();
      expect((await program.signal('SIGINT').ended()).stdout).toMatch(`Echo on ${host}: `);
    }
  });

  it('takes --port before PORT', async () => {
    expect(await echo(['--port', '0'], { PORT: 'nonsense' }).url()).toMatch(/^http:\/\/localhost:\d+$/);
  });

  const usage = 'what there is: [--port 8080] [--host express|fastify|http].';
  it.each([
    [['--hots', 'http'], {}, `Unknown option '--hots'; ${usage}`],
    [['--host'], {}, `Option '--host <value>' argument missing; ${usage}`],
    [['http'], {}, `Unexpected argument 'http'; ${usage}`],
    [['--', '--', 'http'], {}, `Unexpected argument 'http'; ${usage}`],
    [['--host', 'koa'], {}, "There is no host 'koa'; --host takes express, fastify, http."],
    [['--port', '65536'], {}, "--port is '65536', but a port is a number from 0 to 65535."],
    [['--port='], {}, "--port is '', but a port is a number from 0 to 65535."],
    [[], { PORT: '80a' }, "PORT is '80a', but a port is a number from 0 to 65535."],
    [[], { PORT: '-1' }, "PORT is '-1', but a port is a number from 0 to 65535."],
  ])('refuses %j with %j in one sentence', async (args, environment, sentence) => {
    expect(await echo(args, environment).ended()).toEqual({ code: 1, stdout: '', stderr: `${sentence}\n` });
  });
});
