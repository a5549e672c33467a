import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import websocket from '@drawbridge/fastify';
import createFastify, { type FastifyInstance } from 'fastify';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

async function expectEcho(fastify: FastifyInstance, path = '/echo'): Promise<void> {
  const site = await serve(fastify);
  const socket = await dial(site, path);
  expect(await exchange(socket, 'across')).toBe('across');
}

const route = { method: 'GET' as const, url: '/echo', websocket: true as const, handler: echo };

describe('a WebSocket route is served', () => {
  test('that is declared when the plugin has been loaded', async () => {
    const fastify = createFastify();
    await fastify.register(websocket);
    await expectEcho(fastify.route(route));
  });

  test('that is declared while the plugin waits to be loaded', async () => {
    const fastify = createFastify();
    fastify.register(websocket);
    await expectEcho(fastify.route(route));
  });

  test('that was declared before the plugin', async () => {
    const fastify = createFastify();
    fastify.route(route);
    fastify.register(websocket);
    await expectEcho(fastify);
  });

  test('that another plugin declared before', async () => {
    const fastify = createFastify();
    fastify.register(async (inner) => void inner.route(route), { prefix: '/inner' });
    fastify.register(websocket);
    await expectEcho(fastify, '/inner/echo');
  });

  test('that an onRoute hook of the application has made one', async () => {
    const fastify = createFastify();
    fastify.addHook('onRoute', (declared) => {
      if (declared.url === '/echo') declared.wsHandler = echo;
    });
    await fastify.register(websocket);
    fastify.get('/echo', async () => 'an ordinary answer');
    await expectEcho(fastify);
  });

  test('at both ends of a prefix', async () => {
    const fastify = createFastify();
    await fastify.register(websocket);
    await fastify.register(async (inner) => void inner.get('/', { websocket: true }, echo), { prefix: '/inner' });
    const site = await serve(fastify);
    for (const path of ['/inner', '/inner/']) expect(await exchange(await dial(site, path), 'across')).toBe('across');
  });

  test('in one scope of the application only, if that is where the plugin is', async () => {
    const fastify = createFastify();
    await fastify.register(async (inner) => {
      await inner.register(websocket);
      inner.route(route);
    });
    fastify.get('/page', async () => 'a page');
    const site = await serve(fastify);
    expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
  });
});

describe('start-up fails', () => {
  test('where a route asks for WebSocket and the plugin never came', async () => {
    const fastify = createFastify();
    fastify.route(route);
    await expect(fastify.ready()).rejects.toMatchObject({
      code: 'PLUGIN_NOT_REGISTERED',
      message: expect.stringMatching(/^GET \/echo .*register/),
    });
  });

  test('where the plugin was registered beside the route', async () => {
    const fastify = createFastify();
    fastify.register(async (inner) => void (await inner.register(websocket)));
    fastify.route(route);
    await expect(fastify.ready()).rejects.toMatchObject({ code: 'PLUGIN_NOT_REGISTERED' });
  });

  test('where the plugin is registered twice', async () => {
    const fastify = createFastify();
    await fastify.register(async (inner) => void (await inner.register(websocket)));
    fastify.register(async (inner) => void (await inner.register(websocket)));
    await expect(fastify.ready()).rejects.toMatchObject({ code: 'ALREADY_ATTACHED' });
  });

  test('where a WebSocket route is none for GET', async () => {
    const fastify = createFastify();
    fastify.register(websocket);
    fastify.route({ ...route, method: 'POST' });
    await expect(fastify.ready()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/^POST \/echo/),
    });
  });

  test('where an option of a route makes no sense', async () => {
    const fastify = createFastify();
    fastify.register(websocket);
    fastify.get('/echo', { websocket: { maxPayload: -1 } }, echo);
    await expect(fastify.ready()).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });
});

describe('an application that came before this package', () => {
  const run = promisify(execFile);

  /** The error code that a CommonJS program ends with, or what it prints. */
  async function outcome(program: string): Promise<string> {
    const { stdout } = await run(process.execPath, ['-e', program], { cwd: import.meta.dirname });
    return stdout.trim();
  }
  const printed = '.then(() => fastify.hasDecorator("upgrader"), (error) => error.code).then(console.log)';

  test('is served, if it has no routes yet', async () => {
    const program = `
      const fastify = require('fastify')();
      fastify.register(require('@drawbridge/fastify'));
      fastify.after(() => fastify.get('/echo', { websocket: true }, () => {}));
      fastify.ready()${printed}`;
    expect(await outcome(program)).toBe('true');
  });

  test('does not start, if it has routes that nobody knows any more', async () => {
    const program = `
      const fastify = require('fastify')();
      fastify.get('/echo', { websocket: true }, () => {});
      fastify.register(require('@drawbridge/fastify'));
      fastify.ready()${printed}`;
    expect(await outcome(program)).toBe('IMPORTED_TOO_LATE');
  });
});

test('an application that uses @fastify/websocket is left alone', async () => {
  // Its types claim the same places of Fastify's as ours, so they must not be in this program.
  const { default: theirs } = await import('@fastify/websocket' as string);
  const fastify = createFastify();
  await fastify.register(theirs);
  fastify.route(route);
  fastify.route({
    ...route,
    url: '/both',
    websocket: undefined as never,
    handler: async () => 'a page',
    wsHandler: echo,
  } as never);
  const site = await serve(fastify);
  for (const path of ['/echo', '/both']) expect(await exchange(await dial(site, path), 'across')).toBe('across');
  expect((await fastify.inject('/both')).body).toBe('a page');
  expect((await fastify.inject('/echo')).statusCode).toBe(404);
});

test('a closed application is detached from its server', async () => {
  const fastify = createFastify();
  await fastify.register(websocket);
  await fastify.listen({ port: 0, host: '127.0.0.1' });
  expect(fastify.server.listenerCount('upgrade')).toBe(1);
  await fastify.close();
  expect(fastify.server.listenerCount('upgrade')).toBe(0);
});

test('no route that is not one for WebSocket becomes one', async () => {
  const fastify = createFastify();
  await fastify.register(websocket);
  fastify.get('/page', { websocket: false }, async () => 'a page');
  const site = await serve(fastify);
  expect((await (await knock(site, { path: '/page' })).lastResponse()).status).toBe(404);
  expect((await fastify.inject('/page')).body).toBe('a page');
});
