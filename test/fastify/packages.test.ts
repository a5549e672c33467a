import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import websocket, { type WebsocketHandler } from '@drawbridge/fastify';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import session from '@fastify/session';
import swagger from '@fastify/swagger';
import underPressure from '@fastify/under-pressure';
import createFastify, { type FastifyInstance } from 'fastify';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

declare module 'fastify' {
  interface Session {
    visits?: number;
  }
}

async function application(): Promise<FastifyInstance> {
  const fastify = createFastify();
  await fastify.register(websocket);
  return fastify;
}

const json = (body: Buffer): unknown => JSON.parse(body.toString());

test('@fastify/cookie: cookies are read, and those that are set are on the 101', async () => {
  const fastify = await application();
  await fastify.register(cookie, { secret: 'a secret of some length, as it should be' });
  fastify.addHook('preHandler', async (request, reply) => {
    reply.setCookie('seen', '1', { httpOnly: true, path: '/' }).setCookie('user', 'ann', { signed: true });
    if (request.cookies.banned) reply.clearCookie('banned');
  });
  fastify.get('/echo', { websocket: true }, (socket, request) => socket.send(request.cookies.user ?? 'nobody'));
  const wire = await knock(await serve(fastify), { headers: { Cookie: 'user=bob; banned=1' } });
  const response = await wire.response();
  expect(response.status).toBe(101);
  expect(response.all('set-cookie')).toEqual([
    expect.stringMatching(/^seen=1; Path=\/; HttpOnly/),
    expect.stringMatching(/^user=ann\./),
    expect.stringMatching(/^banned=; .*Expires=Thu, 01 Jan 1970/),
  ]);
  expect(await wire.text()).toBe('bob');
});

describe('@fastify/session', () => {
  async function counting(options: object = {}): Promise<FastifyInstance> {
    const fastify = await application();
    await fastify.register(cookie);
    await fastify.register(session, {
      secret: 'a secret with minimum length of 32 characters',
      cookie: { secure: false },
      ...options,
    });
    fastify.addHook('preHandler', async ({ session: visitor }) => {
      visitor.visits = (visitor.visits ?? 0) + 1;
    });
    const handler: WebsocketHandler = (socket, request) => socket.send(String(request.session.visits));
    fastify.get('/echo', { websocket: true }, handler);
    fastify.get('/page', async (request) => String(request.session.visits));
    return fastify;
  }

  const sessionCookie = (fields: string[]) => fields.map((field) => field.split(';', 1)[0]).join('; ');

  test('saves a new session, with its cookie on the 101', async () => {
    const fastify = await counting();
    const site = await serve(fastify);
    const wire = await knock(site);
    const first = await wire.response();
    expect(first.status).toBe(101);
    expect(await wire.text()).toBe('1');
    const headers = { cookie: sessionCookie(first.all('set-cookie')) };
    expect((await fastify.inject({ url: '/page', headers })).body).toBe('2');
  });

  test('loads the session that a page has begun, and saves what became of it', async () => {
    const fastify = await counting({ rolling: false });
    const site = await serve(fastify);
    const page = await fastify.inject('/page');
    const headers = { cookie: sessionCookie([page.headers['set-cookie'] as string]) };
    const wire = await knock(site, { headers });
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('2');
    expect((await fastify.inject({ url: '/page', headers })).body).toBe('3');
  });

  test('that cannot be saved is a refusal', async () => {
    const store = {
      get: (_id: string, done: (error: unknown) => void) => done(null),
      set: (_id: string, _session: object, done: (error: unknown) => void) => done(new Error('the store is down')),
      destroy: (_id: string, done: (error: unknown) => void) => done(null),
    };
    const response = await (await knock(await serve(await counting({ store })))).lastResponse();
    expect(response.status).toBe(500);
  });
});

test('@fastify/jwt: who has no token gets its 401, who has one is known', async () => {
  const fastify = await application();
  await fastify.register(jwt, { secret: 'supersecret' });
  fastify.addHook('onRequest', async (request) => void (await request.jwtVerify()));
  fastify.get('/echo', { websocket: true }, (socket, request) => socket.send(JSON.stringify(request.user)));
  const site = await serve(fastify);
  const refused = await (await knock(site)).lastResponse();
  expect(refused.status).toBe(401);
  expect(json(refused.body)).toMatchObject({ code: 'FST_JWT_NO_AUTHORIZATION_IN_HEADER', statusCode: 401 });
  const token = fastify.jwt.sign({ name: 'ann' });
  const wire = await knock(site, { headers: { Authorization: `Bearer ${token}` } });
  expect((await wire.response()).status).toBe(101);
  expect(JSON.parse(await wire.text())).toMatchObject({ name: 'ann' });
});

test('@fastify/rate-limit: its headers are on the 101, and its 429 arrives whole', async () => {
  const fastify = await application();
  await fastify.register(rateLimit, { max: 2, timeWindow: '1 minute' });
  fastify.get('/echo', { websocket: true }, echo);
  fastify.get('/own', { websocket: true, config: { rateLimit: { max: 1 } } }, echo);
  const site = await serve(fastify);
  const accepted = await (await knock(site)).response();
  expect([accepted.status, accepted.header('x-ratelimit-remaining')]).toEqual([101, '1']);
  expect((await (await knock(site)).response()).status).toBe(101);
  const refused = await (await knock(site)).lastResponse();
  expect([refused.status, refused.header('x-ratelimit-remaining'), refused.header('retry-after')]).toEqual([
    429,
    '0',
    '60',
  ]);
  expect(json(refused.body)).toMatchObject({ statusCode: 429, error: 'Too Many Requests' });
  expect((await (await knock(site, { path: '/own' })).response()).status).toBe(101);
  expect((await (await knock(site, { path: '/own' })).lastResponse()).status).toBe(429);
});

test('@fastify/helmet: its headers are on the 101 and on refusals', async () => {
  const fastify = await application();
  await fastify.register(helmet);
  fastify.get('/echo', { websocket: true }, echo);
  fastify.get('/no', { websocket: { checkOrigin: () => false } }, echo);
  const site = await serve(fastify);
  const wire = await knock(site);
  const accepted = await wire.response();
  expect([accepted.status, accepted.header('x-content-type-options')]).toEqual([101, 'nosniff']);
  const refused = await (await knock(site, { path: '/no' })).lastResponse();
  expect([refused.status, refused.header('x-content-type-options')]).toEqual([403, 'nosniff']);
});

test('@fastify/under-pressure: a server under pressure refuses with its 503 and Retry-After', async () => {
  const fastify = await application();
  let healthy = true;
  await fastify.register(underPressure, { healthCheck: async () => healthy, healthCheckInterval: 5, retryAfter: 50 });
  fastify.get('/echo', { websocket: true }, echo);
  const site = await serve(fastify);
  await dial(site, '/echo');
  healthy = false;
  for (let look = 0; look < 200 && !fastify.isUnderPressure(); look++) await delay(5);
  const refused = await (await knock(site)).lastResponse();
  expect([refused.status, refused.header('retry-after')]).toEqual([503, '50']);
  expect(json(refused.body)).toMatchObject({ statusCode: 503, code: 'FST_UNDER_PRESSURE' });
});

test('@fastify/swagger: a WebSocket route is not in the API, one beside HTTP is', async () => {
  const fastify = await application();
  await fastify.register(swagger);
  fastify.get('/echo', { websocket: true }, echo);
  fastify.route({ method: 'GET', url: '/both', handler: async () => 'a page', wsHandler: echo });
  await fastify.ready();
  expect(Object.keys(fastify.swagger().paths ?? {})).toEqual(['/both']);
});

test('two packages that wait, one of them on the reply, do not hold a message up', async () => {
  const fastify = await application();
  await fastify.register(cookie);
  fastify.addHook('onRequest', async () => delay(20));
  fastify.addHook('onSend', async () => delay(20));
  fastify.get('/echo', { websocket: true }, echo);
  const socket = await dial(await serve(fastify), '/echo');
  expect(await exchange(socket, 'across')).toBe('across');
  const closed = once(socket, 'close');
  socket.close();
  await closed;
});
