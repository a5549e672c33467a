import websocket, { type Connection, type InvalidMessage, type ValidatedConnection } from '@drawbridge/fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { Type } from 'typebox';
import { z } from 'zod';
import { same } from './same.js';

const fastify = Fastify();
await fastify.register(websocket, { invalidMessages: 4400 });

interface Chat {
  text: string;
}
const chat = z.object({ text: z.string() });

// A Standard Schema says what a message is, whatever the type provider.
fastify.get('/zod', { schema: { message: chat }, websocket: true }, async (socket) => {
  socket.on('message', (message) => same<Chat>()(message));
  socket.once('message', ({ text }) => socket.send(text));
  socket.on('close', (code) => same<number>()(code));
  same<Chat>()(await socket.receive());
  for await (const message of socket) same<Chat>()(message);
  fastify.upgrader.broadcast([socket], 'hello', { except: socket });
  // @ts-expect-error: a chat has no such thing
  socket.on('message', ({ other }) => other);
});

// What it makes of a message, if that is something else.
fastify.get('/made', { schema: { message: z.string().transform(Number) }, websocket: true }, async (socket) => {
  same<number>()(await socket.receive());
});

// With the options of the route, beside HTTP, and with data of its own.
fastify.route({
  method: 'GET',
  url: '/whole',
  schema: { message: chat },
  websocket: { beforeUpgrade: () => 'ann', invalidMessages: 1007 },
  handler: async (socket) => {
    same<string>()(socket.data);
    same<Chat>()(await socket.receive());
    keep(socket);
  },
});
fastify.route({
  method: 'GET',
  url: '/beside',
  schema: { message: chat },
  handler: async () => 'a page',
  wsHandler: async (socket) => same<Chat>()(await socket.receive()),
});
// @ts-expect-error: that is no policy
fastify.get('/policy', { schema: { message: chat }, websocket: { invalidMessages: 1000 } }, () => {});

// A type provider says what its schema means.
fastify
  .withTypeProvider<TypeBoxTypeProvider>()
  .get('/typebox', { schema: { message: Type.Object({ text: Type.String() }) }, websocket: true }, async (socket) => {
    same<Chat>()(await socket.receive());
  });
fastify
  .withTypeProvider<ZodTypeProvider>()
  .get('/provider', { schema: { message: chat, querystring: chat }, websocket: true }, async (socket, request) => {
    same<Chat>()(await socket.receive());
    same<Chat>()(request.query);
  });

// Of plain JSON Schema nothing is known.
fastify.get('/json-schema', { schema: { message: { type: 'object' } }, websocket: true }, async (socket) => {
  same<unknown>()(await socket.receive());
});
// Without a schema, messages are what they are.
fastify.get('/none', { schema: { querystring: { type: 'object' } }, websocket: true }, async (socket) => {
  same<string | Buffer>()(await socket.receive());
});

const keep = (socket: ValidatedConnection<string, Chat>): Connection<string, Chat> => socket;
const complain = ({ code, issues, message }: InvalidMessage) => fastify.log.info({ code, issues }, message);
fastify.get('/complaints', { schema: { message: chat }, websocket: true }, (socket) => {
  socket.on('error', (error) => complain(error as InvalidMessage));
});
