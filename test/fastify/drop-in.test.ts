import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import websocket, { fastifyWebsocket, type WebsocketHandler, type WebsocketPluginOptions } from '@drawbridge/fastify';
import createFastify, { type FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { dial, exchange } from '../behaviour/client.js';
import { anyPort } from '../behaviour/hosts/host.js';
import { latch } from '../behaviour/latch.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

// What @fastify/websocket's documentation promises, written as its users write it.

async function application(options: WebsocketPluginOptions = {}): Promise<FastifyInstance> {
  const fastify = createFastify();
  await fastify.register(websocket, options);
  return fastify;
}

const greeting: WebsocketHandler = (socket) => {
  socket.on('message', () => socket.send('hi from server'));
};

test('the plugin has the names that it is imported by', async () => {
  expect(fastifyWebsocket).toBe(websocket);
  expect((await application()).hasPlugin('@drawbridge/fastify')).toBe(true);
});

describe('routes', () => {
  test('of a plugin answer, and what has none is refused', async () => {
    const fastify = createFastify();
    fastify.register(websocket);
    fastify.register(async (inner) => void inner.get('/', { websocket: true }, greeting));
    const site = await serve(fastify);
    expect(await exchange(await dial(site, '/'), 'hi from client')).toBe('hi from server');
    await expect(dial(site, '/elsewhere')).rejects.toThrow('404');
  });

  test('may be a wildcard, which serves what the others do not', async () => {
    const fastify = createFastify();
    fastify.register(websocket, { options: { maxPayload: 1048576 } });
    fastify.register(async (inner) => {
      inner.get(
        '/*',
        { websocket: true },
        (socket) => socket.on('message', () => socket.send('hi from wildcard')) && undefined,
      );
      inner.get('/', { websocket: true }, greeting);
    });
    const site = await serve(fastify);
    expect(await exchange(await dial(site, '/'), 'hi')).toBe('hi from server');
    expect(await exchange(await dial(site, '/any/where'), 'hi')).toBe('hi from wildcard');
  });

  test('may be declared whole, for WebSocket alone or beside HTTP', async () => {
    const fastify = await application();
    fastify.route({
      method: 'GET',
      url: '/hello',
      handler: (_request, reply) => void reply.send({ hello: 'world' }),
      wsHandler: (socket) => {
        socket.send('hello client');
        socket.once('message', () => socket.close());
      },
    });
    fastify.route({ method: ['GET', 'HEAD'], url: '/only', websocket: true, handler: greeting });
    const site = await serve(fastify);
    expect((await fastify.inject('/hello')).json()).toEqual({ hello: 'world' });
    const wire = await knock(site, { path: '/hello' });
    await wire.response();
    expect(await wire.text()).toBe('hello client');
    expect(await exchange(await dial(site, '/only'), 'hi')).toBe('hi from server');
  });

  test('are declared wrongly at the line that declares them', async () => {
    const fastify = await application();
    const wrong = { method: 'POST' as const, url: '/echo', websocket: true as const, handler: greeting };
    expect(() => fastify.route(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    const noFunction = {
      method: 'GET' as const,
      url: '/echo',
      handler: async () => 'a page',
      wsHandler: 'hello' as never,
    };
    expect(() => fastify.route(noFunction)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });
});

describe('a handler', () => {
  test('may attach its listeners whenever it likes: no message is lost', async () => {
    const fastify = await application();
    fastify.get('/*', { websocket: true }, async (socket) => {
      await delay(30);
      socket.on('message', (message) => socket.send(`late: ${message}`));
    });
    const socket = await dial(await serve(fastify), '/');
    expect(await exchange(socket, 'early')).toBe('late: early');
  });

  test('has the application as this, and hooks have gone before it', async () => {
    const fastify = await application();
    fastify.decorate('reverse', (text: string) => [...text].reverse().join(''));
    fastify.addHook('preValidation', async (request, reply) => {
      if (request.headers['api-key'] !== 'some-random-key') await reply.code(401).send('not authenticated');
    });
    fastify.get('/', { websocket: true }, function (socket) {
      const { reverse } = this as unknown as { reverse(text: string): string };
      socket.on('message', (message) => socket.send(reverse(String(message))));
    });
    const site = await serve(fastify);
    await expect(dial(site, '/')).rejects.toThrow('401');
    const socket = await dial(site, '/', { headers: { 'api-key': 'some-random-key' } });
    expect(await exchange(socket, 'abc')).toBe('cba');
  });

  test('may make a stream of its socket', async () => {
    const fastify = await application();
    fastify.get('/', { websocket: true }, (socket) => {
      const stream = createWebSocketStream(socket);
      stream.setEncoding('utf8');
      stream.on('data', (text) => stream.write(`echo ${text}`));
    });
    expect(await exchange(await dial(await serve(fastify), '/'), 'one')).toBe('echo one');
  });
});

describe('errorHandler', () => {
  type Told = { self: unknown; error: Error & { code?: string }; ws: boolean; status: number };

  /** An application whose error handler notes what it is told, and terminates the connection. */
  async function watched(
    handler: WebsocketHandler,
  ): Promise<{ fastify: FastifyInstance; told: Promise<Told>; reported: unknown[] }> {
    const told = latch<Told>();
    const reported: unknown[] = [];
    const fastify = await application({
      errorHandler(error, socket, request, reply) {
        told.open({ self: this, error, ws: request.ws, status: reply.statusCode });
        socket.terminate();
      },
      onError: (error) => reported.push(error),
    });
    fastify.get('/', { websocket: true }, handler);
    return { fastify, told: told.promise, reported };
  }

  const failing: Record<string, WebsocketHandler> = {
    throws: () => {
      throw new Error('broken');
    },
    rejects: async () => {
      throw new Error('broken');
    },
  };
  test.each(Object.entries(failing))(
    'is told what a handler %s, and decides about the connection',
    async (_how, handler) => {
      const { fastify, told, reported } = await watched(handler);
      const closed = once(await dial(await serve(fastify), '/'), 'close');
      const { self, error, ws, status } = await told;
      expect(self).toBe(fastify);
      expect([error.message, ws, status]).toEqual(['broken', true, 101]);
      expect((await closed)[0]).toBe(1006);
      expect(reported).toEqual([]);
    },
  );

  test('is not told of what a handler returns, whatever that is', async () => {
    const chained = (socket: WebSocket): unknown => socket.on('message', () => socket.send('fine'));
    const { fastify } = await watched(chained as WebsocketHandler);
    expect(await exchange(await dial(await serve(fastify), '/'), 'hello')).toBe('fine');
  });

  test("is told of a connection's own errors", async () => {
    const { fastify, told } = await watched(() => {});
    const wire = await knock(await serve(fastify), { path: '/' });
    await wire.response();
    wire.send(Buffer.from([0xa2, 0x00]));
    expect((await told).error.code).toBe('WS_ERR_UNEXPECTED_RSV_2_3');
  });

  test('has to be a function, as preClose', async () => {
    for (const options of [{ errorHandler: 1 }, { preClose: {} }]) {
      const fastify = createFastify();
      fastify.register(websocket, options as never);
      await expect(fastify.ready()).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    }
  });
});

describe('an error before the connection is there', () => {
  test("goes to Fastify's onError hooks and error handler, which may answer", async () => {
    const fastify = await application();
    const seen: string[] = [];
    fastify.addHook('onRequest', async () => {
      throw new Error('Fail');
    });
    fastify.addHook('onError', async (_request, _reply, error) => void seen.push(error.message));
    fastify.setErrorHandler(async (_error, _request, reply) => reply.code(501).send('there was an error'));
    fastify.get('/echo', { websocket: true }, greeting);
    const response = await (await knock(await serve(fastify))).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([501, 'there was an error']);
    expect(seen).toEqual(['Fail']);
  });

  test('is the end of that: a handler that fails later is none of theirs', async () => {
    const fastify = await application({ onError: () => {} });
    const seen: unknown[] = [];
    fastify.addHook('onError', async (_request, _reply, error) => void seen.push(error));
    fastify.setErrorHandler(async (error) => seen.push(error));
    fastify.get('/', { websocket: true }, () => {
      throw new Error('Fail');
    });
    const socket = await dial(await serve(fastify), '/');
    expect((await once(socket, 'close'))[0]).toBe(1011);
    expect(seen).toEqual([]);
  });
});

describe('options of ws', () => {
  test('maxPayload limits a message', async () => {
    const fastify = await application({ options: { maxPayload: 10 } });
    fastify.get('/', { websocket: true }, greeting);
    const socket = await dial(await serve(fastify), '/');
    socket.send('more than ten bytes');
    expect((await once(socket, 'close'))[0]).toBe(1009);
  });

  test("come after the Upgrader's own", async () => {
    const fastify = await application({ maxPayload: 20, options: { maxPayload: 10 } });
    fastify.get('/', { websocket: true }, greeting);
    const socket = await dial(await serve(fastify), '/');
    expect(await exchange(socket, 'more than ten')).toBe('hi from server');
  });

  test('maxFragments limits the parts of a message', async () => {
    const fastify = await application({ options: { maxFragments: 2 } });
    fastify.get('/', { websocket: true }, greeting);
    const socket = await dial(await serve(fastify), '/');
    for (let part = 0; part < 3; part++) socket.send('part', { fin: false });
    expect((await once(socket, 'close'))[0]).toBe(1008);
  });

  test('perMessageDeflate compresses', async () => {
    const fastify = await application({ options: { perMessageDeflate: true } });
    fastify.get('/', { websocket: true }, greeting);
    const socket = await dial(await serve(fastify), '/', { perMessageDeflate: true });
    expect(socket.extensions).toContain('permessage-deflate');
  });

  const verifiers: Record<string, NonNullable<WebsocketPluginOptions['options']>['verifyClient']> = {
    'what it returns': ({ req }: { req: IncomingMessage }) => req.headers['x-fastify-header'] === 'awesome',
    'a callback': async ({ req }, next) => {
      await delay(5);
      if (req.headers['x-fastify-header'] === 'awesome') next(true);
      else next(false, 402, 'no money', { 'X-Why': 'poor' });
    },
  };
  test.each(Object.entries(verifiers))('verifyClient decides by %s', async (how, verifyClient) => {
    const fastify = await application({ options: { verifyClient } });
    fastify.get('/', { websocket: true }, greeting);
    const site = await serve(fastify);
    const response = await (await knock(site, { path: '/' })).lastResponse();
    if (how === 'a callback') {
      expect([response.status, response.header('x-why'), response.body.toString()]).toEqual([402, 'poor', 'no money']);
    } else expect(response.status).toBe(401);
    await dial(site, '/', { headers: { 'x-fastify-header': 'awesome' } });
  });

  test('verifyClient is told where the client comes from', async () => {
    const told: unknown[] = [];
    const fastify = await application({
      options: {
        verifyClient: (info: { origin: string; secure: boolean }) => Boolean(told.push([info.origin, info.secure])),
      },
    });
    fastify.get('/', { websocket: true }, greeting);
    const site = await serve(fastify);
    await dial(site, '/', { origin: `http://${site.authority}` });
    expect(told).toEqual([[`http://${site.authority}`, false]]);
  });

  test("verifyClient is asked before a route's own beforeUpgrade, and the plugin's", async () => {
    const seen: string[] = [];
    const verifyClient = () => Boolean(seen.push('verifyClient'));
    const fastify = await application({ options: { verifyClient }, beforeUpgrade: () => void seen.push('the plugin') });
    fastify.get('/own', { websocket: { beforeUpgrade: () => void seen.push('the route') } }, greeting);
    fastify.get('/', { websocket: true }, greeting);
    const site = await serve(fastify);
    await dial(site, '/own');
    await dial(site, '/');
    expect(seen).toEqual(['verifyClient', 'the route', 'verifyClient', 'the plugin']);
  });

  test('handleProtocols chooses the subprotocol', async () => {
    const offers: unknown[] = [];
    const fastify = await application({
      options: {
        handleProtocols(protocols, request) {
          offers.push([...protocols, request.url]);
          return protocols.has('v2') && 'v2';
        },
      },
    });
    fastify.get('/', { websocket: true }, greeting);
    const site = await serve(fastify);
    expect((await dial(site, '/', { protocols: ['v1', 'v2'] })).protocol).toBe('v2');
    const response = await (await knock(site, { path: '/', headers: { 'Sec-WebSocket-Protocol': 'v1' } })).response();
    expect([response.status, response.all('sec-websocket-protocol')]).toEqual([101, []]);
    expect(offers).toEqual([
      ['v1', 'v2', '/'],
      ['v1', '/'],
    ]);
  });

  test('server is where upgrades come from, until the application is closed', async () => {
    const server = createServer().listen(anyPort);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const fastify = await application({ options: { server } });
    fastify.get('/', { websocket: true }, greeting);
    await fastify.ready();
    const { port } = server.address() as { port: number };
    const socket = await dial({ authority: `127.0.0.1:${port}`, secure: false } as never, '/');
    expect(await exchange(socket, 'hi')).toBe('hi from server');
    await fastify.close();
    expect(server.listenerCount('upgrade')).toBe(0);
    await application({ options: { server } });
    expect(server.listenerCount('upgrade')).toBe(1);
  });

  test('clientTracking can be turned off', async () => {
    const fastify = await application({ options: { clientTracking: false } });
    expect(fastify.websocketServer.clients).toBeUndefined();
    fastify.get('/', { websocket: true }, greeting);
    expect(await exchange(await dial(await serve(fastify), '/'), 'hi')).toBe('hi from server');
  });

  test.each(['noServer', 'port', 'autoPong'])('%s means nothing here, and is told so', async (name) => {
    const fastify = createFastify();
    fastify.register(websocket, { options: { [name]: true } });
    await expect(fastify.ready()).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining(`options.${name}`),
    });
  });

  test('path is warned of, and does nothing', async () => {
    const lines: string[] = [];
    const fastify = createFastify({
      logger: { level: 'warn', stream: { write: (line: string) => void lines.push(line) } },
    });
    fastify.register(websocket, { options: { path: '/' } as object });
    fastify.get('/echo', { websocket: true }, greeting);
    await dial(await serve(fastify), '/echo');
    expect(lines).toEqual([expect.stringContaining('options.path')]);
  });
});

describe('fastify.websocketServer', () => {
  test('is a WebSocketServer of ws, with its clients and a connection event for each', async () => {
    const fastify = await application();
    expect(fastify.websocketServer).toBeInstanceOf(WebSocketServer);
    const connections: unknown[] = [];
    fastify.websocketServer.on('connection', (socket, request) => connections.push([socket, request.url]));
    const handled = latch<WebSocket>();
    fastify.get('/', { websocket: true }, (socket) => handled.open(socket));
    const client = await dial(await serve(fastify), '/?a=1');
    const socket = await handled.promise;
    expect(connections).toEqual([[socket, '/?a=1']]);
    expect([...fastify.websocketServer.clients]).toEqual([socket]);
    const closed = once(socket, 'close');
    client.close();
    await closed;
    expect(fastify.websocketServer.clients.size).toBe(0);
  });

  test('has no client that was refused', async () => {
    const fastify = await application();
    const connections: unknown[] = [];
    fastify.websocketServer.on('connection', (socket) => connections.push(socket));
    fastify.get('/', { websocket: { checkOrigin: () => false } }, greeting);
    await expect(dial(await serve(fastify), '/')).rejects.toThrow('403');
    expect([connections, fastify.websocketServer.clients.size]).toEqual([[], 0]);
  });
});

describe('closing', () => {
  const preCloses: Record<string, NonNullable<WebsocketPluginOptions['preClose']>> = {
    'with a callback': function (done) {
      for (const socket of this.websocketServer.clients) socket.close(1001, 'in our own manner');
      this.websocketServer.close(() => done());
    },
    'that is async': async function (this: FastifyInstance) {
      for (const socket of this.websocketServer.clients) socket.close(1001, 'in our own manner');
    },
  };
  test.each(Object.entries(preCloses))('goes by preClose %s', async (_how, preClose) => {
    const fastify = await application({ preClose });
    fastify.get('/', { websocket: true }, greeting);
    const closed = once(await dial(await serve(fastify), '/'), 'close');
    await fastify.close();
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([1001, 'in our own manner']);
  });

  test('refuses those who come meanwhile', async () => {
    const fastify = await application();
    const closing = latch();
    fastify.addHook('preClose', async () => closing.promise);
    fastify.get('/', { websocket: true }, greeting);
    const site = await serve(fastify);
    const closed = fastify.close();
    await expect(dial(site, '/')).rejects.toThrow('503');
    closing.open();
    await closed;
  });
});

describe('fastify.injectWS', () => {
  async function guarded(): Promise<FastifyInstance> {
    const fastify = createFastify();
    fastify.register(websocket, { subprotocols: ['v1'] });
    fastify.register(async (inner) => {
      inner.addHook('preValidation', async (request, reply) => {
        if (request.headers['api-key'] !== 'some-random-key') return reply.code(401).send();
      });
      inner.get('/', { websocket: true }, greeting);
      inner.get('/hello', { websocket: true }, (socket) => socket.send('hello client'));
    });
    await fastify.ready();
    return fastify;
  }
  const headers = { 'api-key': 'some-random-key' };

  test('opens a WebSocket without a port', async () => {
    const fastify = await guarded();
    const socket = await fastify.injectWS('/', { headers });
    expect(await exchange(socket, 'hi from client')).toBe('hi from server');
    expect(fastify.server.listening).toBe(false);
    expect(socket.listenerCount('error')).toBe(0);
    socket.terminate();
    await fastify.close();
  });

  test('waits until the application is ready', async () => {
    const fastify = await application();
    fastify.register(async (inner) => {
      await delay(20);
      inner.get('/', { websocket: true }, greeting);
    });
    const socket = await fastify.injectWS('/');
    expect(await exchange(socket, 'hi')).toBe('hi from server');
    socket.terminate();
    await fastify.close();
  });

  test('goes to / if no path is given, and through the hooks', async () => {
    const fastify = await guarded();
    await expect(fastify.injectWS()).rejects.toThrow('Unexpected server response: 401');
    await expect(fastify.injectWS('/nowhere')).rejects.toThrow('Unexpected server response: 404');
    await fastify.close();
  });

  test('shows the client before it connects, and when it is open', async () => {
    const fastify = await guarded();
    const events: string[] = [];
    const first = latch<string>();
    const socket = await fastify.injectWS(
      '/hello',
      { headers: { ...headers, 'sec-websocket-protocol': 'v1' } },
      {
        onInit: (one) => {
          events.push(`init ${one.readyState}`);
          one.once('message', (data) => first.open(String(data)));
        },
        onOpen: (one) => events.push(`open ${one.readyState} ${one.protocol}`) && undefined,
      },
    );
    expect(await first.promise).toBe('hello client');
    expect(events).toEqual(['init 0', 'open 1 v1']);
    const closed = once(socket, 'close');
    await fastify.close();
    expect((await closed)[0]).toBe(1001);
  });

  test('ends the connection of the application when the client is terminated', async () => {
    const fastify = await guarded();
    const socket = await fastify.injectWS('/', { headers });
    const [connection] = fastify.upgrader.connections;
    socket.terminate();
    expect(await connection?.closed).toMatchObject({ code: 1006 });
    await fastify.close();
  });
});

test('request.ws says whether a request asks for a WebSocket', async () => {
  const fastify = await application();
  const seen: boolean[] = [];
  fastify.addHook('preHandler', async (request) => void seen.push(request.ws));
  fastify.get('/', { websocket: true }, greeting);
  fastify.get('/page', async (request) => String(request.ws));
  await dial(await serve(fastify), '/');
  expect((await fastify.inject('/page')).body).toBe('false');
  expect(seen).toEqual([true, false]);
});
