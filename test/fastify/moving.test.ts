import { once } from 'node:events';
import ours, { anyOrigin, type WebsocketPluginOptions } from '@drawbridge/fastify';
import createFastify, { type FastifyInstance, type FastifyPluginCallback } from 'fastify';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import type { Site } from '../behaviour/hosts/index.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

// The rows of "Moving from @fastify/websocket", tried on both packages.

// Its types claim the same places of Fastify's as ours, so they must not be in this program.
const { default: theirs } = (await import('@fastify/websocket' as string)) as { default: FastifyPluginCallback };

interface Row {
  declare(fastify: FastifyInstance): unknown;
  /** What a client sees. */
  look(site: Site, fastify: FastifyInstance): unknown;
  theirs: unknown;
  ours: unknown;
  /** What makes ours do as theirs, where something does. */
  options?: WebsocketPluginOptions;
  redeclare?(fastify: FastifyInstance): unknown;
}

const echoing = (fastify: FastifyInstance) => fastify.get('/echo', { websocket: true }, echo);

/** `101`, or the status of a refusal. */
const status = (changes: Parameters<typeof knock>[1]) => async (site: Site) =>
  (await (await knock(site, changes)).response()).status;

/** The close code of a connection that was opened, or the refusal's status. */
const ending = (path: string, send?: string) => async (site: Site) => {
  const socket = new WebSocket(`ws://${site.authority}${path}`);
  const status = once(socket, 'unexpected-response').then(([, response]) => response.statusCode);
  const code = once(socket, 'close').then(([code]) => `closed ${code}`);
  socket.on('error', () => {});
  if (send) socket.once('open', () => socket.send(send));
  const seen = await Promise.race([status, code]);
  socket.terminate();
  return seen;
};

const rows: Record<string, Row> = {
  'a page of another site': {
    declare: echoing,
    look: status({ headers: { Origin: 'https://evil.example' } }),
    theirs: 101,
    ours: 403,
    options: { checkOrigin: anyOrigin() },
  },
  'an HTTP route': {
    declare: (fastify) => fastify.get('/page', async () => 'a page'),
    look: ending('/page'),
    theirs: 'closed 1005',
    ours: 404,
    redeclare: (fastify) =>
      fastify.route({
        method: 'GET',
        url: '/page',
        handler: async () => 'a page',
        wsHandler: (socket) => socket.close(),
      }),
  },
  'headers and cookies that hooks set': {
    declare(fastify) {
      fastify.addHook('onRequest', async (_request, reply) => void reply.header('Set-Cookie', 'a=1'));
      echoing(fastify);
    },
    look: async (site) => (await (await knock(site)).response()).all('set-cookie'),
    theirs: [],
    ours: ['a=1'],
  },
  'onSend and onResponse hooks': {
    declare(fastify) {
      const seen: string[] = [];
      fastify.decorate('seen', seen);
      fastify.addHook('onSend', async (_request, _reply, payload) => void seen.push(`onSend ${payload}`));
      fastify.addHook('onResponse', async (_request, reply) => void seen.push(`onResponse ${reply.statusCode}`));
      echoing(fastify);
    },
    look: async (site, fastify) => {
      expect(await exchange(await dial(site, '/echo'), 'hello')).toBe('hello');
      return (fastify as unknown as { seen: string[] }).seen;
    },
    theirs: [],
    ours: ['onSend undefined', 'onResponse 101'],
  },
  'a subprotocol that nobody has named': {
    declare: echoing,
    look: async (site) => {
      const response = await (await knock(site, { headers: { 'Sec-WebSocket-Protocol': 'v2, v1' } })).response();
      return response.all('sec-websocket-protocol');
    },
    theirs: ['v2'],
    ours: [],
    options: { subprotocols: (offered) => offered[0] },
  },
  'a message of 2 MiB': {
    declare: (fastify) =>
      fastify.get('/echo', { websocket: true }, (socket) => void socket.on('message', () => socket.close(4000))),
    look: ending('/echo', 'x'.repeat(2 * 1024 * 1024)),
    theirs: 'closed 4000',
    ours: 'closed 1009',
    options: { maxPayload: 100 * 1024 * 1024 },
  },
  'a handler that throws': {
    declare: (fastify) =>
      fastify.get('/echo', { websocket: true }, () => {
        throw new Error('broken');
      }),
    look: ending('/echo'),
    theirs: 'closed 1006',
    ours: 'closed 1011',
    options: {
      errorHandler(error, socket, request) {
        request.log.error(error);
        socket.terminate();
      },
    },
  },
  'a message before there is a listener': {
    declare: (fastify) =>
      fastify.get('/echo', { websocket: true }, async (socket) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        socket.on('message', (data) => socket.send(`heard ${data}`));
      }),
    look: async (site) => {
      const socket = await dial(site, '/echo');
      socket.send('early');
      setTimeout(() => socket.send('late'), 100);
      return String((await once(socket, 'message'))[0]);
    },
    theirs: 'heard late',
    ours: 'heard early',
  },
  'an ordinary request for a WebSocket route': {
    declare: echoing,
    look: async (_site, fastify) => (await fastify.inject('/echo')).body,
    theirs: '',
    ours: '{"message":"Route GET:/echo not found","error":"Not Found","statusCode":404}',
    redeclare(fastify) {
      fastify.setNotFoundHandler((_request, reply) => reply.code(404).send());
      echoing(fastify);
    },
  },
  'a handshake without a Host': {
    declare: echoing,
    look: status({ headers: { Host: null } }),
    theirs: 101,
    ours: 400,
  },
  'what verifyClient refuses': {
    declare(fastify) {
      fastify.setErrorHandler(async (_error, _request, reply) => reply.code(401).send('our page'));
      echoing(fastify);
    },
    look: async (site) => (await (await knock(site)).response()).body.toString(),
    theirs: 'Unauthorized',
    ours: 'our page',
  },
  'the close of the application': {
    declare: echoing,
    look: async (site, fastify) => {
      const closed = once(await dial(site, '/echo'), 'close');
      await fastify.close();
      return (await closed)[0];
    },
    theirs: 1005,
    ours: 1001,
    options: {
      async preClose(this: FastifyInstance) {
        for (const socket of this.websocketServer.clients) socket.close();
      },
    },
  },
};

/** What is to be told of both: `verifyClient` is the one option that a row needs. */
const shared = (name: string): object =>
  name === 'what verifyClient refuses' ? { options: { verifyClient: () => false } } : {};

async function see(plugin: FastifyPluginCallback<never>, options: object, declare: Row['declare'], look: Row['look']) {
  const fastify = createFastify({ http: { requireHostHeader: false } });
  await fastify.register(plugin as FastifyPluginCallback, options);
  declare(fastify);
  return look(await serve(fastify), fastify);
}

describe.each(Object.entries(rows))('%s', (name, { declare, look, ...row }) => {
  test('was so', async () => {
    expect(await see(theirs, shared(name), declare, look)).toEqual(row.theirs);
  });

  test('is so here', async () => {
    expect(await see(ours as never, { onError: () => {}, ...shared(name) }, declare, look)).toEqual(row.ours);
  });
});

const switched = Object.entries(rows).filter(([, { options, redeclare }]) => options ?? redeclare);

test.each(switched)('%s is as it was by a word', async (_name, { declare, look, options = {}, redeclare, theirs }) => {
  expect(await see(ours as never, options, redeclare ?? declare, look)).toEqual(theirs);
});
