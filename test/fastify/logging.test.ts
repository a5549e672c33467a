import { once } from 'node:events';
import websocket, {
  bearerToken,
  Refusal,
  type WebSocketOptions,
  type WebsocketPluginOptions,
} from '@drawbridge/fastify';
import createFastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { describe, expect, test, vi } from 'vitest';
import { dial } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

interface Line {
  msg: string;
  reqId?: string;
  route?: string;
  code?: string | number;
  status?: number;
  duration?: number;
}

async function logged(
  options: WebsocketPluginOptions = {},
  server: object = {},
): Promise<{ fastify: FastifyInstance; lines(): Line[]; until(message: string): Promise<Line> }> {
  const all: Line[] = [];
  const ours = ['upgraded', 'refused', 'abandoned', 'closed'];
  const logger = { level: 'info', stream: { write: (line: string) => void all.push(JSON.parse(line)) } };
  const fastify = createFastify({ logger, ...server });
  await fastify.register(websocket, options);
  const lines = () => all.filter(({ msg }) => ours.includes(msg));
  const until = (message: string) =>
    vi.waitFor(() => lines().find(({ msg }) => msg === message) ?? expect.fail(`no line says ${message}`));
  return { fastify, lines, until };
}

const duration = expect.any(Number);

test('an accepted upgrade and the end of its connection are a line each', async () => {
  const { fastify, lines, until } = await logged();
  fastify.get('/rooms/:room', { websocket: true }, echo);
  const socket = await dial(await serve(fastify), '/rooms/lobby?token=secret');
  const closed = once(socket, 'close');
  socket.close(4321);
  await closed;
  await until('closed');
  const common = { reqId: 'req-1', route: '/rooms/:room', duration };
  expect(lines()).toEqual([
    expect.objectContaining({ msg: 'upgraded', code: 101, ...common }),
    expect.objectContaining({ msg: 'closed', code: 4321, ...common }),
  ]);
  expect(lines().every((line) => (line.duration ?? 0) > 0 && !JSON.stringify(line).includes('secret'))).toBe(true);
});

describe('a refused upgrade is one line', () => {
  const refusals: Record<string, [(fastify: FastifyInstance) => unknown, Partial<Line>]> = {
    'by its policy': [
      (fastify) => fastify.get('/echo', { websocket: { checkOrigin: () => false } }, echo),
      { code: 'ORIGIN_REFUSED', status: 403, route: '/echo' },
    ],
    'by a hook that throws a Refusal': [
      (fastify) =>
        fastify.get(
          '/echo',
          { websocket: true, onRequest: () => Promise.reject(new Refusal(402, { code: 'NO_MONEY' })) },
          echo,
        ),
      { code: 'NO_MONEY', status: 402, route: '/echo' },
    ],
    'by a hook that answers': [
      (fastify) =>
        fastify.get(
          '/echo',
          { websocket: true, onRequest: async (_request, reply) => reply.code(401).send('log in') },
          echo,
        ),
      { code: 'APPLICATION', status: 401, route: '/echo' },
    ],
    'that is told by a close': [
      (fastify) => fastify.get('/echo', { websocket: { checkOrigin: () => false, refusals: 'close' } }, echo),
      { code: 'ORIGIN_REFUSED', status: 101, route: '/echo' },
    ],
    'by an HTTP route': [
      (fastify) => fastify.get('/echo', async () => 'a page'),
      { code: 'NO_ROUTE', status: 404, route: '/echo' },
    ],
    'without a route': [() => {}, { code: 'APPLICATION', status: 404 }],
  };
  test.each(Object.entries(refusals))('%s', async (_how, [declare, line]) => {
    const { fastify, lines, until } = await logged();
    declare(fastify);
    const wire = await knock(await serve(fastify));
    await wire.response();
    await until('refused');
    expect(lines()).toEqual([expect.objectContaining({ msg: 'refused', reqId: 'req-1', duration, ...line })]);
  });

  test('that was not decided in time', async () => {
    const { fastify, lines, until } = await logged({ handshakeTimeout: 30 });
    const errors: unknown[] = [];
    fastify.setErrorHandler(async (error) => void errors.push(error));
    fastify.get(
      '/echo',
      {
        websocket: {
          beforeUpgrade: (_request, { signal }) => once(signal, 'abort').then(() => Promise.reject(new Refusal(401))),
        },
      },
      echo,
    );
    expect((await (await knock(await serve(fastify))).lastResponse()).status).toBe(408);
    await until('refused');
    expect(lines()).toEqual([
      expect.objectContaining({ msg: 'refused', code: 'HANDSHAKE_TIMEOUT', status: 408, route: '/echo' }),
    ]);
    expect(errors).toEqual([]);
  });
});

describe('the token that comes as a subprotocol', () => {
  const token = 'a-token-that-nobody-may-read';
  const encoded = Buffer.from(token).toString('base64url');
  /** As careless as an application can be. */
  const serializers = { req: ({ headers, raw }: FastifyRequest) => ({ headers, raw: raw.rawHeaders }) };
  const ends: Record<string, [word: string, options: WebSocketOptions]> = {
    'an upgrade that is accepted': ['upgraded', { subprotocols: ['v1.chat'] }],
    'an upgrade that is refused': ['refused', { checkOrigin: () => false }],
    'a policy that fails': ['refused', { beforeUpgrade: () => Promise.reject(new Error('no database')) }],
    'a route that names no subprotocol': ['upgraded', {}],
  };

  test.each(Object.entries(ends))('is in no line about %s', async (_name, [word, options]) => {
    const all: string[] = [];
    const logger = { level: 'trace', serializers, stream: { write: (line: string) => void all.push(line) } };
    const fastify = createFastify({ logger });
    await fastify.register(websocket);
    const tokens: unknown[] = [];
    fastify.addHook('preHandler', async (request) => {
      tokens.push(bearerToken(request));
      request.log.info({ req: request }, 'a line of the application');
    });
    fastify.get('/echo', { websocket: options }, echo);
    const headers = { 'Sec-WebSocket-Protocol': `v1.chat, bearer.${encoded}` };
    await (await knock(await serve(fastify), { headers })).response();
    await vi.waitFor(() => expect(all.join('')).toContain(`"msg":"${word}"`));
    const text = all.join('');
    expect(text).toContain('v1.chat');
    expect([text.includes(token), text.includes(encoded), tokens]).toEqual([false, false, [token]]);
  });
});

test('a client that goes away first is one line', async () => {
  const { fastify, lines, until } = await logged();
  let wire: Awaited<ReturnType<typeof knock>> | undefined;
  fastify.get(
    '/echo',
    {
      websocket: {
        beforeUpgrade: async (_request, { signal }) => {
          await vi.waitFor(() => expect(wire).toBeDefined());
          wire?.reset();
          await once(signal, 'abort');
        },
      },
    },
    echo,
  );
  wire = await knock(await serve(fastify));
  await until('abandoned');
  expect(lines()).toEqual([expect.objectContaining({ msg: 'abandoned', code: 'CLIENT_GONE', route: '/echo' })]);
  expect(lines()[0]).not.toHaveProperty('status');
});

test('a client that offers subprotocols to a route that names none is worth one warning', async () => {
  const warnings: { msg: string; route?: string }[] = [];
  const stream = { write: (line: string) => void warnings.push(JSON.parse(line)) };
  const fastify = createFastify({ logger: { level: 'warn', stream } });
  await fastify.register(websocket);
  fastify.get('/none', { websocket: true }, echo);
  fastify.get('/own', { websocket: { subprotocols: [] } }, echo);
  const site = await serve(fastify);
  for (const path of ['/none', '/own', '/none']) {
    const response = await (await knock(site, { path, headers: { 'Sec-WebSocket-Protocol': 'v1' } })).response();
    expect([response.status, response.all('sec-websocket-protocol')]).toEqual([101, []]);
  }
  await dial(site, '/own');
  expect(warnings).toEqual([expect.objectContaining({ route: '/none', msg: expect.stringContaining('subprotocols') })]);
});

test('what is left to another listener is none of ours', async () => {
  const { fastify, lines } = await logged({ unclaimedTimeout: 20 });
  fastify.server.on('upgrade', () => {});
  const site = await serve(fastify);
  expect((await (await knock(site, { path: '/hmr' })).lastResponse()).status).toBe(404);
  expect(lines()).toEqual([]);
});

test.each(['disableRequestLogging', 'logController'])(
  'there are none of these lines where %s turns them off',
  async (option) => {
    const value = option === 'logController' ? new LogController({ disableRequestLogging: true }) : true;
    const { fastify, lines } = await logged({}, { [option]: value });
    fastify.get('/echo', { websocket: true }, echo);
    const socket = await dial(await serve(fastify), '/echo');
    socket.close();
    await once(socket, 'close');
    await vi.waitFor(() => expect(fastify.upgrader.connections.size).toBe(0));
    expect(lines()).toEqual([]);
  },
);

test('a logger of your own gets them, even if it takes all levels by one function', async () => {
  const messages: unknown[] = [];
  const write = (...given: unknown[]): void => void messages.push(given.at(-1));
  const logger: FastifyBaseLogger = {
    level: 'info',
    silent: write,
    fatal: write,
    error: write,
    warn: write,
    info: write,
    debug: write,
    trace: write,
    child: () => logger,
  };
  const fastify = createFastify({ loggerInstance: logger });
  await fastify.register(websocket);
  fastify.get('/echo', { websocket: true }, echo);
  const site = await serve(fastify);
  const socket = await dial(site, '/echo');
  socket.close();
  await vi.waitFor(() => expect(messages).toEqual(expect.arrayContaining(['upgraded', 'closed'])));
  await (await knock(site, { headers: { Origin: 'http://evil.example' } })).lastResponse();
  await vi.waitFor(() => expect(messages).toContain('refused'));
});
