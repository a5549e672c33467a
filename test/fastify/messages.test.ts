import { once } from 'node:events';
import websocket, { type InvalidMessage, type WebsocketPluginOptions } from '@drawbridge/fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import createFastify, { type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Type } from 'typebox';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { dial, exchange } from '../behaviour/client.js';
import { knock } from '../behaviour/raw.js';
import { serve } from './serve.js';

async function application(options: WebsocketPluginOptions = {}): Promise<FastifyInstance> {
  const fastify = createFastify();
  await fastify.register(websocket, options);
  return fastify;
}

const chat = {
  type: 'object',
  required: ['text'],
  properties: { text: { type: 'string', minLength: 1 }, times: { type: 'integer', default: 1 } },
};

/** An application of one route, which answers a message with what it was given, and an error with what it says. */
async function answering(
  schema: { message: unknown },
  options: WebsocketPluginOptions = {},
  prepare: (fastify: FastifyInstance) => unknown = () => {},
): Promise<FastifyInstance> {
  const fastify = await application(options);
  prepare(fastify);
  return fastify.get('/chat', { schema, websocket: true }, (socket) => {
    socket.on('message', (message) => socket.send(JSON.stringify(message)));
    socket.on('error', ({ message }) => socket.send(`no: ${message}`));
  });
}

describe('a JSON schema', () => {
  test("is compiled by Fastify's own Ajv: messages are parsed, defaults filled in, types coerced", async () => {
    const socket = await dial(await serve(await answering({ message: chat })), '/chat');
    expect(JSON.parse(await exchange(socket, '{"text":"hello"}'))).toEqual({ text: 'hello', times: 1 });
    expect(JSON.parse(await exchange(socket, '{"text":"hello","times":"3"}'))).toEqual({ text: 'hello', times: 3 });
  });

  test('may refer to a shared one', async () => {
    const shared = (fastify: FastifyInstance) => fastify.addSchema({ $id: 'chat', ...chat });
    const socket = await dial(await serve(await answering({ message: { $ref: 'chat#' } }, {}, shared)), '/chat');
    expect(JSON.parse(await exchange(socket, '{"text":"hello"}'))).toEqual({ text: 'hello', times: 1 });
    expect(await exchange(socket, '{}')).toMatch(/^no: /);
  });

  test.each([
    ['{}', "no: The message is invalid: must have required property 'text'."],
    ['{"text":""}', 'no: The message is invalid: /text must NOT have fewer than 1 characters.'],
    ['{"text":', 'no: The message is not JSON.'],
    ['', 'no: The message is not JSON.'],
    ['{"text":"hello","__proto__":{"admin":true}}', 'no: The message is not JSON.'],
  ])('drops %j with an error event, and the connection goes on', async (text, answer) => {
    const socket = await dial(await serve(await answering({ message: chat })), '/chat');
    expect(await exchange(socket, text)).toBe(answer);
    expect(JSON.parse(await exchange(socket, '{"text":"hello"}'))).toEqual({ text: 'hello', times: 1 });
  });

  test('drops binary messages', async () => {
    const socket = await dial(await serve(await answering({ message: chat })), '/chat');
    const answer = once(socket, 'message');
    socket.send(Buffer.from('{"text":"hello"}'));
    expect(String((await answer)[0])).toBe('no: The message is binary; send JSON text.');
  });

  test('that is none is a 500 before accept, and reported', async () => {
    const errors: unknown[] = [];
    const options = { onError: (error: unknown) => errors.push(error) };
    const fastify = await answering({ message: { type: 'nothing of the kind' } }, options);
    const response = await (await knock(await serve(fastify), { path: '/chat' })).lastResponse();
    expect(response.status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('schema is invalid') })]);
  });
});

describe('a Standard Schema', () => {
  const message = z.object({
    text: z.string().trim().min(1),
    at: z.iso
      .datetime()
      .transform((at) => new Date(at))
      .optional(),
  });

  test('says by itself what passes, and makes of it what the handler gets', async () => {
    const fastify = await application();
    fastify.get('/chat', { schema: { message }, websocket: true }, async (socket) => {
      for await (const { text, at } of socket) socket.send(`${text} ${at instanceof Date}`);
    });
    const socket = await dial(await serve(fastify), '/chat');
    expect(await exchange(socket, '{"text":"  hello ","at":"2026-11-21T10:00:00Z"}')).toBe('hello true');
    expect(await exchange(socket, '{"text":"hello"}')).toBe('hello false');
  });

  test('says what is wrong with the rest, and where', async () => {
    const fastify = await application();
    const errors: InvalidMessage[] = [];
    fastify.get('/chat', { schema: { message }, websocket: true }, (socket) => {
      socket.on('error', (error) => errors.push(error as InvalidMessage) && socket.send(error.message));
    });
    const socket = await dial(await serve(fastify), '/chat');
    expect(await exchange(socket, '{"text":" "}')).toMatch(/^The message is invalid: text: .+/);
    expect(errors).toEqual([
      expect.objectContaining({ code: 'INVALID_MESSAGE', issues: [expect.objectContaining({ path: ['text'] })] }),
    ]);
  });

  test('stands beside the schemas of a type provider with a compiler of its own', async () => {
    const fastify = (await application())
      .setValidatorCompiler(validatorCompiler)
      .setSerializerCompiler(serializerCompiler);
    fastify
      .withTypeProvider<ZodTypeProvider>()
      .get(
        '/chat',
        { schema: { message, querystring: z.object({ as: z.string() }) }, websocket: true },
        async (socket, request) => {
          for await (const { text } of socket) socket.send(`${request.query.as}: ${text}`);
        },
      );
    const site = await serve(fastify);
    expect(await exchange(await dial(site, '/chat?as=ann'), '{"text":"hello"}')).toBe('ann: hello');
    expect((await (await knock(site, { path: '/chat' })).lastResponse()).status).toBe(400);
  });

  test('may name the place by objects', async () => {
    const issues = [{ message: 'is bad', path: [{ key: 'list' }, 0] }];
    const schema = { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues }) } };
    const socket = await dial(await serve(await answering({ message: schema })), '/chat');
    expect(await exchange(socket, '{}')).toBe('no: The message is invalid: list/0: is bad.');
  });
});

test("a route's own validator compiler is asked, in whichever way it answers", async () => {
  const fastify = await application();
  const compilers = {
    '/error': () => (value: unknown) => ({ error: value === 'good' ? undefined : new Error('not good') }),
    '/value': () => (value: unknown) => ({ value: `very ${value}` }),
  };
  for (const [path, compiler] of Object.entries(compilers)) {
    fastify.get(path, { schema: { message: {} }, validatorCompiler: compiler as never, websocket: true }, (socket) => {
      socket.on('message', (message) => socket.send(String(message)));
      socket.on('error', ({ message }) => socket.send(message));
    });
  }
  const site = await serve(fastify);
  const erring = await dial(site, '/error');
  expect(await exchange(erring, '"bad"')).toBe('The message is invalid: not good.');
  expect(await exchange(erring, '"good"')).toBe('good');
  expect(await exchange(await dial(site, '/value'), '"good"')).toBe('very good');
});

test.each([
  ['a Standard Schema', z.string().refine(async () => true), undefined],
  ["a route's own validator", {}, () => async () => true],
])('%s that has to wait for something is a mistake of the program', async (_which, message, compiler) => {
  const errors: unknown[] = [];
  const fastify = await answering({ message }, { onError: (error) => errors.push(error) }, (one) => {
    if (compiler) one.setValidatorCompiler(compiler as never);
  });
  const socket = await dial(await serve(fastify), '/chat');
  socket.send('"hello"');
  expect((await once(socket, 'close'))[0]).toBe(1011);
  expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_OPTION' })]);
});

test('a type provider needs nothing more', async () => {
  const fastify = (await application()).withTypeProvider<TypeBoxTypeProvider>();
  fastify.get(
    '/chat',
    { schema: { message: Type.Object({ text: Type.String() }) }, websocket: true },
    async (socket) => {
      const { text } = await socket.receive();
      socket.send(text.toUpperCase());
    },
  );
  expect(await exchange(await dial(await serve(fastify), '/chat'), '{"text":"hello"}')).toBe('HELLO');
});

describe('an invalid message', () => {
  test.each([1007, 4400] as const)(
    'closes with %i where the route says so, and nothing behind it is heard',
    async (code) => {
      const heard: unknown[] = [];
      const fastify = await application();
      fastify.get('/chat', { schema: { message: chat }, websocket: { invalidMessages: code } }, (socket) => {
        socket.on('message', (message) => heard.push(message));
      });
      const socket = await dial(await serve(fastify), '/chat');
      const closed = once(socket, 'close');
      for (const text of ['{"text":"one"}', '{}', '{"text":"two"}']) socket.send(text);
      const [got, reason] = await closed;
      expect([got, String(reason)]).toEqual([code, 'invalid message']);
      expect(heard).toEqual([{ text: 'one', times: 1 }]);
    },
  );

  test('may have one policy for all routes, which a route may change', async () => {
    const fastify = await application({ invalidMessages: 1007 });
    fastify.get('/all', { schema: { message: chat }, websocket: true }, () => {});
    fastify.get('/own', { schema: { message: chat }, websocket: { invalidMessages: 'error' } }, (socket) => {
      socket.on('error', () => socket.send('no'));
    });
    const site = await serve(fastify);
    const all = await dial(site, '/all');
    all.send('{}');
    expect((await once(all, 'close'))[0]).toBe(1007);
    expect(await exchange(await dial(site, '/own'), '{}')).toBe('no');
  });

  test('that nobody listens for ends nothing', async () => {
    const fastify = await application();
    fastify.get('/chat', { schema: { message: chat }, websocket: true }, (socket) => {
      socket.on('message', (message) => socket.send((message as { text: string }).text));
    });
    const socket = await dial(await serve(fastify), '/chat');
    socket.send('{}');
    expect(await exchange(socket, '{"text":"hello"}')).toBe('hello');
  });

  test("is told to the plugin's errorHandler, as the connection's other errors", async () => {
    const codes: unknown[] = [];
    const fastify = await application({
      errorHandler(error, socket) {
        codes.push((error as InvalidMessage).code);
        socket.close(4000);
      },
    });
    fastify.get('/chat', { schema: { message: chat }, websocket: true }, () => {});
    const socket = await dial(await serve(fastify), '/chat');
    socket.send('{}');
    expect((await once(socket, 'close'))[0]).toBe(4000);
    expect(codes).toEqual(['INVALID_MESSAGE']);
  });
});
