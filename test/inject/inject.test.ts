import { channel } from 'node:diagnostics_channel';
import { createServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { bearerToken, type Connection, inject as injectIntoServer, Refusal, Upgrader } from '@drawbridge/core';
import { attach, inject as injectIntoExpress, websocket, withWebSockets } from '@drawbridge/express';
import fastifyWebsocket, { inject as injectIntoFastify } from '@drawbridge/fastify';
import jwt from '@fastify/jwt';
import express from 'express';
import express4 from 'express4';
import createFastify from 'fastify';
import passport from 'passport';
import { Strategy as BearerStrategy } from 'passport-http-bearer';
import { describe, expect, test } from 'vitest';

type Inject = (path: string, options?: Parameters<typeof injectIntoServer>[2]) => Promise<Connection>;

function http(secure: boolean): Inject {
  const upgrader = new Upgrader();
  upgrader.route('/echo', { subprotocols: ['v1.chat'] }, async (socket) => {
    for await (const message of socket) socket.send(message);
  });
  upgrader.route('/private', { beforeUpgrade: refuse }, () => {});
  const server = secure ? createHttpsServer() : createServer();
  upgrader.attach(server);
  return (path, options) => injectIntoServer(server, path, options);
}

function refuse(): never {
  throw new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'log in first' });
}

function onExpress(create: typeof express): Inject {
  const app = create();
  app.get(
    '/echo',
    websocket({ subprotocols: ['v1.chat'] }, async (socket) => {
      for await (const message of socket) socket.send(message);
    }),
  );
  app.get('/private', (_req, res) => void res.status(401).set('WWW-Authenticate', 'Bearer').send('log in first'));
  return (path, options) => injectIntoExpress(app, path, options);
}

async function onFastify(): Promise<Inject> {
  const fastify = createFastify();
  await fastify.register(fastifyWebsocket);
  fastify.get('/echo', { websocket: { subprotocols: ['v1.chat'] } }, async (socket) => {
    for await (const message of socket) socket.send(message);
  });
  fastify.get('/private', { websocket: true, onRequest: async () => refuse() }, () => {});
  return (path, options) => injectIntoFastify(fastify, path, options);
}

describe.each([
  ['http', () => http(false), 'http'],
  ['https', () => http(true), 'https'],
  ['Express 4', () => onExpress(express4 as never), 'http'],
  ['Express 5', () => onExpress(express), 'http'],
  ['Fastify', onFastify, 'http'],
] as const)('inject into %s', (_name, create, scheme) => {
  test('opens a connection without a port, with headers, subprotocol and origin', async () => {
    const inject = await create();
    const socket = await inject('/echo', { origin: `${scheme}://localhost`, subprotocols: ['v2.chat', 'v1.chat'] });
    expect(socket.protocol).toBe('v1.chat');
    socket.send('hello');
    expect(await socket.receive()).toBe('hello');
    const large = Buffer.alloc(300_000, 7);
    socket.send(large);
    expect(large.equals((await socket.receive()) as Buffer)).toBe(true);
    socket.close(1000, 'done');
    expect(await socket.closed).toEqual({ code: 1000, reason: 'done', wasClean: true });
  });

  test('rejects with the refusal, whole', async () => {
    const inject = await create();
    await expect(inject('/echo', { origin: 'https://evil.example' })).rejects.toMatchObject({ status: 403 });
    await expect(inject('/nowhere')).rejects.toMatchObject({ status: 404 });
    const refused = await inject('/private').catch((error: unknown) => error as { headers: object; body: Buffer });
    expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
    expect(String((refused as { body: unknown }).body)).toBe('log in first');
  });
});

test('inject into an Express application keeps to what attach was told', async () => {
  const app = express();
  app.get(
    '/',
    websocket((socket) => socket.close(4000)),
  );
  attach(createServer(app), app, { checkOrigin: () => false });
  await expect(injectIntoExpress(app, '/', { origin: 'http://localhost' })).rejects.toMatchObject({ status: 403 });
});

test('withWebSockets: inject reaches it before it listens, and closing does not wait for handlers that have returned', async () => {
  const { app, upgrader } = withWebSockets(express());
  app.ws('/', (socket) => socket.send('hello'));
  const socket = await injectIntoExpress(app, '/');
  expect(await socket.receive()).toBe('hello');
  await upgrader.close({ timeout: 60_000 });
  expect((await socket.closed).code).toBe(1001);
});

test('withWebSockets: next(error) closes with 1011 and is reported', async () => {
  const errors: unknown[] = [];
  const { app } = withWebSockets(express(), { onError: (error) => errors.push(error) });
  app.ws('/', (_socket, _req, next) => void setImmediate(() => next(new Error('too late'))));
  const socket = await injectIntoExpress(app, '/');
  expect((await socket.closed).code).toBe(1011);
  expect(errors).toEqual([new Error('too late')]);
});

describe('a bearer token', () => {
  const token = 'abc.DEF-123_~+/==';
  const subprotocol = `bearer.${Buffer.from(token).toString('base64url')}`;

  async function seenBy(
    options: Parameters<Inject>[1],
  ): Promise<{ token: string | null; chosen: string; headers: string }> {
    const upgrader = new Upgrader({ subprotocols: (offered) => offered.at(-1) });
    upgrader.route('/', (socket, request) => {
      const headers = JSON.stringify([request.headers, request.rawHeaders]);
      socket.sendJSON({ token: bearerToken(request) ?? null, chosen: socket.protocol, headers });
    });
    const server = createServer();
    upgrader.attach(server);
    const socket = await injectIntoServer(server, '/', options);
    const seen = await socket.receiveJSON<Awaited<ReturnType<typeof seenBy>>>();
    socket.terminate();
    return seen;
  }

  test('is read from the Authorization header', async () => {
    expect(await seenBy({ headers: { Authorization: `Bearer ${token}` } })).toMatchObject({ token });
    expect(await seenBy({ headers: { Authorization: `bearer  ${token}` } })).toMatchObject({ token });
    expect(await seenBy({ headers: { Authorization: 'Basic YTpi' } })).toMatchObject({ token: null });
  });

  test('is read from a subprotocol, which nobody else gets to see or to choose', async () => {
    const seen = await seenBy({ subprotocols: ['v1.chat', subprotocol] });
    expect(seen).toMatchObject({ token, chosen: 'v1.chat' });
    expect(seen.headers).not.toContain(subprotocol);
    expect(seen.headers).toContain('v1.chat');
  });

  test('is in the header before it is in a subprotocol, and none of two', async () => {
    const headers = { Authorization: 'Bearer header' };
    expect(await seenBy({ headers, subprotocols: ['v1.chat', subprotocol] })).toMatchObject({ token: 'header' });
    const other = `bearer.${Buffer.from('other').toString('base64url')}`;
    expect(await seenBy({ subprotocols: ['v1.chat', subprotocol, other] })).toMatchObject({ token: null });
    expect(await seenBy({ subprotocols: ['v1.chat', 'bearer.'] })).toMatchObject({ token: null });
  });

  test('is in no diagnostics message', async () => {
    const messages: string[] = [];
    const listen = (message: unknown): void => {
      const { request } = message as { request: { headers: object; rawHeaders: string[] } };
      messages.push(JSON.stringify([request.headers, request.rawHeaders]));
    };
    const names = ['drawbridge:upgrade:start', 'drawbridge:upgrade:accepted'];
    for (const name of names) channel(name).subscribe(listen);
    await seenBy({ subprotocols: ['v1.chat', subprotocol] });
    for (const name of names) channel(name).unsubscribe(listen);
    expect(messages).toHaveLength(2);
    for (const message of messages) expect(message).not.toContain(subprotocol);
  });

  test('from a subprotocol satisfies passport-http-bearer', async () => {
    const authenticator = new passport.Passport();
    authenticator.use(new BearerStrategy((given, done) => done(null, given === token ? { name: 'ada' } : false)));
    const app = express();
    app.use((req, _res, next) => {
      const given = bearerToken(req);
      if (given) req.headers.authorization = `Bearer ${given}`;
      next();
    });
    app.get(
      '/',
      authenticator.authenticate('bearer', { session: false }),
      websocket({ subprotocols: ['v1.chat'] }, (socket, req) => socket.send((req.user as { name: string }).name)),
    );
    const socket = await injectIntoExpress(app, '/', { subprotocols: ['v1.chat', subprotocol] }).catch(
      (error) => error,
    );
    expect(socket).toMatchObject({ protocol: 'v1.chat' });
    expect(await socket.receive()).toBe('ada');
    socket.terminate();
    await expect(injectIntoExpress(app, '/', { subprotocols: ['v1.chat'] })).rejects.toMatchObject({ status: 401 });
  });

  test('from a subprotocol satisfies @fastify/jwt', async () => {
    const fastify = createFastify();
    await fastify.register(fastifyWebsocket);
    await fastify.register(jwt, {
      secret: 'a secret for the tests',
      verify: { extractToken: (request) => bearerToken(request as never) },
    });
    const options = {
      websocket: { subprotocols: ['v1.chat'] },
      onRequest: async (request: { jwtVerify(): Promise<unknown> }) => void (await request.jwtVerify()),
    };
    fastify.get(
      '/',
      options as object,
      ((socket: Connection, request: { user: { name: string } }) => socket.send(request.user.name)) as never,
    );
    await fastify.ready();
    const asSubprotocol = (given: string): string => `bearer.${Buffer.from(given).toString('base64url')}`;
    const signed = fastify.jwt.sign({ name: 'ada' });
    const socket = await injectIntoFastify(fastify, '/', { subprotocols: ['v1.chat', asSubprotocol(signed)] });
    expect(await socket.receive()).toBe('ada');
    socket.terminate();
    const forged = asSubprotocol(`${signed.slice(0, -4)}AAAA`);
    const refused = injectIntoFastify(fastify, '/', { subprotocols: ['v1.chat', forged] });
    await expect(refused).rejects.toMatchObject({ status: 401 });
    await fastify.close();
  });
});
