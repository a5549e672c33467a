import dns, { type LookupOptions } from 'node:dns';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import websocket, { Refusal, type WebsocketHandler, type WebsocketPluginOptions } from '@drawbridge/fastify';
import createFastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from 'fastify';
import { generate } from 'selfsigned';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import type { Site } from '../behaviour/hosts/index.js';
import { latch } from '../behaviour/latch.js';
import { knock, type Wire } from '../behaviour/raw.js';
import { serve } from './serve.js';

async function application(options?: WebsocketPluginOptions, server?: FastifyServerOptions): Promise<FastifyInstance> {
  const fastify = createFastify(server);
  await fastify.register(websocket, { ...options });
  return fastify;
}

const json = (body: Buffer): unknown => JSON.parse(body.toString());

describe('an accepted upgrade', () => {
  test('goes through every hook of the request and the reply, once and in their order', async () => {
    const fastify = await application();
    const seen: string[] = [];
    for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend'] as const) {
      fastify.addHook(name, async () => void seen.push(name));
    }
    const responded = latch();
    fastify.addHook('onResponse', async (_request, reply) => {
      seen.push(`onResponse ${reply.statusCode}`);
      responded.open();
    });
    fastify.get('/echo', { websocket: true }, (socket) => {
      seen.push('handler');
      echo(socket);
    });
    const site = await serve(fastify);
    const socket = await dial(site, '/echo');
    expect(await exchange(socket, 'across')).toBe('across');
    await responded.promise;
    expect(seen).toEqual([
      'onRequest',
      'preParsing',
      'preValidation',
      'preHandler',
      'onSend',
      'onResponse 101',
      'handler',
    ]);
  });

  test('carries on its 101 what any of the hooks has set', async () => {
    const fastify = await application();
    fastify.addHook(
      'onRequest',
      async (_request, reply) => void reply.header('X-Request', '1').header('Set-Cookie', 'a=1'),
    );
    fastify.addHook('preHandler', (_request, reply, done) => {
      reply.raw.setHeader('X-Raw', '2');
      done();
    });
    fastify.addHook('onSend', async (_request, reply) => void reply.header('Set-Cookie', 'b=2'));
    fastify.get('/echo', { websocket: true }, echo);
    const response = await (await knock(await serve(fastify))).response();
    expect(response.status).toBe(101);
    expect(response.all('set-cookie')).toEqual(['a=1', 'b=2']);
    expect(response.header('x-request')).toBe('1');
    expect(response.header('x-raw')).toBe('2');
    expect(response.all('content-type')).toEqual([]);
  });

  test('has the instance of its route as this, and its decorators', async () => {
    const fastify = await application();
    const instance = latch<unknown>();
    await fastify.register(async (inner) => {
      inner.decorate('greeting', 'hello');
      inner.get('/echo', { websocket: true }, function (socket) {
        instance.open(this);
        socket.send((this as unknown as { greeting: string }).greeting);
      });
      inner.addHook('onReady', async () => void fastify.decorate);
    });
    const wire = await knock(await serve(fastify));
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('hello');
    expect(await instance.promise).toHaveProperty('greeting', 'hello');
    expect(fastify).not.toHaveProperty('greeting');
  });

  test('knows its request: parameters, query, id and that it is a WebSocket', async () => {
    const fastify = await application();
    fastify.get<{ Params: { room: string } }>('/rooms/:room', { websocket: true }, (socket, request) => {
      const { params, query, id, ws } = request;
      socket.send(JSON.stringify({ params, query, id, ws, path: socket.path }));
    });
    const wire = await knock(await serve(fastify), { path: '/rooms/lobby?as=guest' });
    await wire.response();
    expect(JSON.parse(await wire.text())).toEqual({
      params: { room: 'lobby' },
      query: { as: 'guest' },
      id: 'req-1',
      ws: true,
      path: '/rooms/:room',
    });
  });

  test('is seen by hooks of its own scope only', async () => {
    const fastify = await application();
    const seen: string[] = [];
    await fastify.register(async (inner) => {
      inner.addHook('onRequest', async () => void seen.push('inside'));
      inner.get('/inside', { websocket: true }, echo);
    });
    fastify.get('/outside', { websocket: true }, echo);
    const site = await serve(fastify);
    await dial(site, '/outside');
    expect(seen).toEqual([]);
    await dial(site, '/inside');
    expect(seen).toEqual(['inside']);
  });
});

describe('beside an HTTP handler', () => {
  async function both(): Promise<FastifyInstance> {
    const fastify = await application();
    return fastify.route({
      method: 'GET',
      url: '/both',
      handler: async ({ ws }) => ({ ws }),
      wsHandler: echo,
      websocket: { subprotocols: ['v1.echo'] },
    });
  }

  test('wsHandler gets the upgrades, with the options of the route', async () => {
    const socket = await dial(await serve(await both()), '/both', { protocols: ['v1.echo'] });
    expect(socket.protocol).toBe('v1.echo');
    expect(await exchange(socket, 'across')).toBe('across');
  });

  test('ordinary requests get the HTTP handler', async () => {
    const fastify = await both();
    expect((await fastify.inject('/both')).json()).toEqual({ ws: false });
    expect((await fastify.inject({ method: 'HEAD', url: '/both' })).statusCode).toBe(200);
  });
});

describe('an ordinary request for a WebSocket route', () => {
  test.each(['GET', 'HEAD'] as const)('by %s is not found, as Fastify says it', async (method) => {
    const fastify = await application();
    fastify.get('/echo', { websocket: true }, echo);
    const response = await fastify.inject({ method, url: '/echo' });
    expect(response.statusCode).toBe(404);
    if (method === 'GET') expect(response.json()).toMatchObject({ statusCode: 404, error: 'Not Found' });
  });

  test.each([true, false])('by HEAD is no upgrade, exposeHeadRoutes: %s', async (exposeHeadRoutes) => {
    const fastify = await application({}, { exposeHeadRoutes });
    const ran: string[] = [];
    fastify.get('/echo', { websocket: true }, () => void ran.push('socket'));
    fastify.get('/elsewhere', { websocket: true, exposeHeadRoute: true }, () => void ran.push('socket'));
    const site = await serve(fastify);
    for (const path of ['/echo', '/elsewhere']) {
      const ordinary = { Upgrade: null, Connection: 'close' };
      const plain = await (await knock(site, { method: 'HEAD', path, headers: ordinary })).lastResponse({ head: true });
      expect([plain.status, plain.header('content-type')]).toEqual([404, 'application/json; charset=utf-8']);
      const upgrade = await (await knock(site, { method: 'HEAD', path })).lastResponse({ head: true });
      expect([upgrade.status, upgrade.header('allow')]).toEqual([405, 'GET']);
    }
    expect(ran).toEqual([]);
  });

  test('is not found, as the application says it', async () => {
    const fastify = await application();
    fastify.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing here'));
    fastify.get('/echo', { websocket: true }, echo);
    expect((await fastify.inject('/echo')).body).toBe('nothing here');
  });
});

describe('an upgrade that is refused', () => {
  test.each(['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const)(
    'by an answer in %s gets that answer',
    async (hook) => {
      const fastify = await application();
      const statuses: number[] = [];
      fastify.addHook('onResponse', async (_request, reply) => void statuses.push(reply.statusCode));
      fastify.addHook(
        hook,
        async (_request: unknown, reply: { code(status: number): { send(body: object): unknown } }) =>
          reply.code(401).send({ reason: 'log in' }),
      );
      fastify.get('/echo', { websocket: true }, echo);
      const response = await (await knock(await serve(fastify))).lastResponse();
      expect(response.status).toBe(401);
      expect(json(response.body)).toEqual({ reason: 'log in' });
      expect(statuses).toEqual([401]);
    },
  );

  test("by its schema gets Fastify's own 400", async () => {
    const fastify = await application();
    const schema = { querystring: { type: 'object', required: ['token'], properties: { token: { type: 'string' } } } };
    fastify.get('/echo', { websocket: true, schema }, echo);
    const site = await serve(fastify);
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(400);
    expect(json(response.body)).toEqual({
      statusCode: 400,
      code: 'FST_ERR_VALIDATION',
      error: 'Bad Request',
      message: "querystring must have required property 'token'",
    });
    expect((await (await knock(site, { path: '/echo?token=1' })).response()).status).toBe(101);
  });

  const refusal = () => new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'log in first' });
  const places: Record<string, (fastify: FastifyInstance) => unknown> = {
    beforeUpgrade: (fastify) =>
      fastify.get('/echo', { websocket: { beforeUpgrade: () => Promise.reject(refusal()) } }, echo),
    'a hook': (fastify) => fastify.get('/echo', { websocket: true, preHandler: () => Promise.reject(refusal()) }, echo),
  };
  describe.each(Object.entries(places))('by a Refusal in %s', (_name, declare) => {
    test('gets it whole', async () => {
      const fastify = await application();
      declare(fastify);
      const response = await (await knock(await serve(fastify))).lastResponse();
      expect(response.status).toBe(401);
      expect(response.header('www-authenticate')).toBe('Bearer');
      expect(response.header('content-type')).toBe('text/plain; charset=utf-8');
      expect(response.body.toString()).toBe('log in first');
    });

    test("gets what the application's error handler makes of it", async () => {
      const fastify = await application();
      fastify.setErrorHandler<Refusal>((error, request, reply) =>
        reply.code(error.statusCode).send({ own: error.code, ws: request.ws }),
      );
      declare(fastify);
      const response = await (await knock(await serve(fastify))).lastResponse();
      expect(response.status).toBe(401);
      expect(json(response.body)).toEqual({ own: 'REFUSED_401', ws: true });
    });
  });

  test("gets what its route's own error handler makes of it", async () => {
    const fastify = await application();
    fastify.get(
      '/echo',
      {
        websocket: { checkOrigin: () => false },
        errorHandler: (error, _request, reply) => void reply.code(403).send({ own: error.code }),
      },
      echo,
    );
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect(json(response.body)).toEqual({ own: 'ORIGIN_REFUSED' });
  });

  test('may be sent elsewhere, or get bytes', async () => {
    const fastify = await application();
    const location = { Location: 'https://example.com/' };
    fastify.get(
      '/moved',
      { websocket: { beforeUpgrade: () => Promise.reject(new Refusal(307, { headers: location, body: '' })) } },
      echo,
    );
    fastify.get(
      '/bytes',
      { websocket: { beforeUpgrade: () => Promise.reject(new Refusal(410, { body: new Uint8Array([1, 2]) })) } },
      echo,
    );
    const site = await serve(fastify);
    const moved = await (await knock(site, { path: '/moved' })).lastResponse();
    expect([moved.status, moved.header('location')]).toEqual([307, 'https://example.com/']);
    const bytes = await (await knock(site, { path: '/bytes' })).lastResponse();
    expect([...bytes.body]).toEqual([1, 2]);
  });

  test('because a policy broke is not told why; onError is', async () => {
    const errors: unknown[] = [];
    const fastify = await application({ onError: (error, { request }) => errors.push(error, request?.id) });
    fastify.get('/echo', { websocket: { beforeUpgrade: () => Promise.reject(new Error('the secret')) } }, echo);
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect(response.status).toBe(500);
    expect(response.body.toString()).not.toContain('secret');
    expect(errors).toEqual([expect.objectContaining({ message: 'the secret' }), 'req-1']);
  });

  test("because a hook threw is Fastify's to report, and its error handler's to answer", async () => {
    const reported: unknown[] = [];
    const fastify = await application({ onError: (error) => reported.push(error) });
    fastify.setErrorHandler(async (error: Error, _request, reply) => reply.code(500).send(`sorry: ${error.message}`));
    fastify.get('/echo', { websocket: true, preHandler: () => Promise.reject(new Error('broken')) }, echo);
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([500, 'sorry: broken']);
    expect(reported).toEqual([]);
  });

  test('because a hook of the reply broke is never accepted', async () => {
    const errors: unknown[] = [];
    const handled: string[] = [];
    const fastify = await application({ onError: (error) => errors.push(error) });
    fastify.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 101) throw new Error('no room for the session');
    });
    fastify.get('/echo', { websocket: true }, () => void handled.push('handler'));
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect(response.status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ message: 'no room for the session' })]);
    expect(handled).toEqual([]);
  });

  test('by a route that speaks no WebSocket is never accepted, and the error handler may say it', async () => {
    const handled: string[] = [];
    const fastify = await application();
    fastify.get('/page', async () => void handled.push('handler'));
    const site = await serve(fastify);
    const response = await (await knock(site, { path: '/page' })).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([404, 'There is no WebSocket here.']);
    expect(handled).toEqual([]);
  });

  test("by a route that speaks no WebSocket is an error that the application's handler knows by its code", async () => {
    const fastify = await application();
    fastify.setErrorHandler<Refusal>((error, _request, reply) => reply.code(404).send({ own: error.code }));
    fastify.get('/page', async () => 'a page');
    const response = await (await knock(await serve(fastify), { path: '/page' })).lastResponse();
    expect(json(response.body)).toEqual({ own: 'NO_ROUTE' });
  });

  test('because it has no route gets what Fastify says, or the application', async () => {
    const bare = await (await knock(await serve(await application()), { path: '/nowhere' })).lastResponse();
    expect(json(bare.body)).toMatchObject({ statusCode: 404, message: 'Route GET:/nowhere not found' });
    const fastify = await application();
    fastify.setNotFoundHandler((_request, reply) => reply.code(404).send('nothing here'));
    const own = await (await knock(await serve(fastify), { path: '/nowhere' })).lastResponse();
    expect([own.status, own.body.toString()]).toEqual([404, 'nothing here']);
  });
});

describe('the Origin behind a proxy', () => {
  const forwarded = { Host: 'inside:3000', 'X-Forwarded-Host': 'example.com', 'X-Forwarded-For': '203.0.113.7' };

  async function verdict(trustProxy: boolean | string, headers: Record<string, string>): Promise<number> {
    const fastify = await application({}, { trustProxy });
    fastify.get('/echo', { websocket: true }, echo);
    return (await (await knock(await serve(fastify), { headers: { ...forwarded, ...headers } })).response()).status;
  }

  test("that Fastify's own trustProxy trusts is the one it forwarded", async () => {
    const proto = { 'X-Forwarded-Proto': 'https' };
    expect(await verdict('127.0.0.1', { ...proto, Origin: 'https://example.com' })).toBe(101);
    expect(await verdict('127.0.0.1', { ...proto, Origin: 'http://example.com' })).toBe(403);
    expect(await verdict('127.0.0.1', { 'X-Forwarded-Proto': 'http', Origin: 'https://example.com' })).toBe(403);
  });

  test('that it does not trust is what the Host says', async () => {
    expect(await verdict(false, { Origin: 'https://example.com' })).toBe(403);
    expect(await verdict('10.0.0.0/8', { Origin: 'http://inside:3000' })).toBe(101);
    expect(await verdict('10.0.0.0/8', { 'X-Forwarded-Proto': 'http', Origin: 'https://inside:3000' })).toBe(101);
  });

  test('counts towards the limit of the address it forwarded', async () => {
    const fastify = await application({ maxConnectionsPerAddress: 1 }, { trustProxy: true });
    fastify.get('/echo', { websocket: true }, echo);
    const site = await serve(fastify);
    const from = (address: string) => dial(site, '/echo', { headers: { 'X-Forwarded-For': address } });
    await from('203.0.113.7');
    await from('203.0.113.8');
    await expect(from('203.0.113.7')).rejects.toThrow('429');
  });
});

describe('over TLS', () => {
  const certificate = generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec', algorithm: 'sha256' });
  const servers = { https: {}, 'HTTP/2 that allows HTTP/1': { http2: true } };

  test.each(Object.entries(servers))('%s gets upgrades, and knows its own scheme', async (_name, options) => {
    const { private: key, cert } = await certificate;
    const fastify = await application({}, {
      ...options,
      https: { key, cert, allowHTTP1: true },
    } as FastifyServerOptions);
    fastify.get('/echo', { websocket: true }, echo);
    const { authority } = await serve(fastify);
    const site = { authority, secure: true } as Site;
    const socket = await dial(site, '/echo', { origin: `https://${authority}` });
    expect(await exchange(socket, 'across')).toBe('across');
    await expect(dial(site, '/echo', { origin: `http://${authority}` })).rejects.toThrow('403');
    const injected = await fastify.injectWS('/echo', { headers: { origin: 'https://localhost' } });
    expect(await exchange(injected, 'across')).toBe('across');
    await expect(fastify.injectWS('/echo', { headers: { origin: 'http://localhost' } })).rejects.toThrow('403');
  });
});

test('both servers that Fastify makes for localhost get upgrades', async () => {
  // Not every machine has a second address for that name, so the name is given one here.
  const { lookup } = dns;
  onTestFinished(() => void Object.assign(dns, { lookup }));
  const second = { address: '127.0.0.2', family: 4 };
  dns.lookup = ((host: string, options: LookupOptions, done: (...found: unknown[]) => void) => {
    lookup(host, options, (error, found, family) => done(error, options.all ? [found, second].flat() : found, family));
  }) as typeof lookup;
  const fastify = await application();
  fastify.get('/echo', { websocket: true }, echo);
  onTestFinished(() => fastify.close());
  await fastify.listen({ host: 'localhost', port: 0 });
  const { port } = fastify.server.address() as AddressInfo;
  for (const host of ['localhost', second.address]) {
    const socket = await dial({ authority: `${host}:${port}`, secure: false } as Site, '/echo');
    expect(await exchange(socket, host)).toBe(host);
  }
});

describe("Fastify's handlerTimeout", () => {
  /** An application in which every handler has 30 ms, and the errors that its error handler was asked about. */
  async function hurried(): Promise<{ fastify: FastifyInstance; errors: unknown[] }> {
    const fastify = await application({ unclaimedTimeout: 100 }, { handlerTimeout: 30 });
    const errors: unknown[] = [];
    fastify.setErrorHandler(async (error, _request, reply) => {
      errors.push(error);
      return reply.code(503).send('too late');
    });
    return { fastify, errors };
  }

  test('holds for the decision about an upgrade', async () => {
    const { fastify } = await hurried();
    fastify.get('/echo', { websocket: { beforeUpgrade: () => delay(60) } }, echo);
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([503, 'too late']);
  });

  test('does not hold for an open connection', async () => {
    const { fastify, errors } = await hurried();
    fastify.get('/echo', { websocket: true }, echo);
    const socket = await dial(await serve(fastify), '/echo');
    await delay(60);
    expect(await exchange(socket, 'across')).toBe('across');
    expect(errors).toEqual([]);
  });

  test('is not what ends the wait for a client that has gone', async () => {
    const { fastify, errors } = await hurried();
    const gone = latch();
    const beforeUpgrade = (_request: unknown, { signal }: { signal: AbortSignal }) =>
      once(signal, 'abort').then(() => gone.open());
    fastify.get('/echo', { websocket: { beforeUpgrade } }, echo);
    (await knock(await serve(fastify))).reset();
    await gone.promise;
    await delay(60);
    expect(errors).toEqual([]);
  });

  test('is not what ends the wait for another listener', async () => {
    const { fastify, errors } = await hurried();
    fastify.server.on('upgrade', () => {});
    const response = await (await knock(await serve(fastify), { path: '/hmr' })).lastResponse();
    expect(response.status).toBe(404);
    expect(errors).toEqual([]);
  });
});

describe('fastify.close()', () => {
  test('says goodbye to open connections and waits for them', async () => {
    const fastify = await application();
    fastify.get('/echo', { websocket: true }, echo);
    const site = await serve(fastify);
    const socket = await dial(site, '/echo');
    const closed = once(socket, 'close');
    expect(fastify.upgrader.connections.size).toBe(1);
    await fastify.close();
    expect((await closed)[0]).toBe(1001);
    expect(fastify.upgrader.connections.size).toBe(0);
  });

  test('cuts off who does not answer, before Fastify itself loses patience', async () => {
    const fastify = await application({}, { pluginTimeout: 500 });
    fastify.get('/echo', { websocket: true }, echo);
    const wire = await knock(await serve(fastify));
    await wire.response();
    await fastify.close();
    expect(fastify.upgrader.connections.size).toBe(0);
  });
});

test.each<[string, WebsocketHandler]>([
  ['a handler rejects with', () => Promise.reject(new Error('it broke'))],
  [
    'a listener throws later',
    (socket) =>
      void socket.on('message', () => {
        throw new Error('it broke');
      }),
  ],
])('what %s goes to the log of its request, and closes with 1011', async (_how, handler) => {
  const lines: string[] = [];
  const logger = { level: 'error', stream: { write: (line: string) => void lines.push(line) } };
  const fastify = await application({}, { logger });
  fastify.get('/echo', { websocket: true }, handler);
  const socket = await dial(await serve(fastify), '/echo');
  socket.send('x');
  expect((await once(socket, 'close'))[0]).toBe(1011);
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({ reqId: 'req-1', err: expect.objectContaining({ message: 'it broke' }) }),
  ]);
});

describe('a hook that is late', () => {
  const ends: Record<string, (wire: Wire) => unknown> = {
    'with its time up': async (wire) => expect((await wire.lastResponse()).status).toBe(408),
    'with its client gone': (wire) => wire.reset(),
  };
  const hooks = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const;
  const cases = hooks.flatMap((hook) => Object.entries(ends).map(([name, end]) => [hook, name, end] as const));

  test.each(cases)('%s leads an upgrade, %s, to no ordinary handler', async (hook, _name, end) => {
    const fastify = createFastify();
    const ran: string[] = [];
    const over = latch();
    const late = latch();
    const begun = latch();
    // In front of the plugin's own hook.
    fastify.addHook(hook, async (_request: FastifyRequest, reply: FastifyReply) => {
      reply.raw.once('close', () => over.open());
      begun.open();
      await over.promise;
      late.open();
    });
    await fastify.register(websocket, { handshakeTimeout: 50 });
    fastify.addHook('onError', async () => void ran.push('onError'));
    fastify.route({
      method: 'GET',
      url: '/echo',
      handler: () => ran.push('page'),
      wsHandler: () => void ran.push('socket'),
    });
    fastify.get('/page', () => ran.push('page'));
    const site = await serve(fastify);
    const wire = await knock(site, { path: hook === 'onRequest' ? '/page' : '/echo' });
    await begun.promise;
    await end(wire);
    await late.promise;
    await new Promise(setImmediate);
    expect(ran).toEqual([]);
  });
});
