import type { IncomingMessage } from 'node:http';
import fastifyWebsocket, {
  fastifyWebsocket as named,
  type RouteOptions,
  type WebSocket as SocketType,
  type WebsocketHandler,
  type WebsocketPluginOptions,
} from '@drawbridge/fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, {
  type RouteOptions as AnyRouteOptions,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchema,
  type RawRequestDefaultExpression,
  type RawServerDefault,
  type RouteGenericInterface,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Type } from 'typebox';
import type { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { same } from './same.js';

// What is typed where @fastify/websocket types it.

const app: FastifyInstance = Fastify();
app.register(named, {});
app.register(fastifyWebsocket, { options: { maxPayload: 123, perMessageDeflate: true, server: app.server } });
app.register(fastifyWebsocket, {
  errorHandler(error, socket, request, reply) {
    same<FastifyInstance>()(this);
    same<Error>()(error);
    socket satisfies WebSocket;
    same<FastifyRequest>()(request);
    same<FastifyReply>()(reply);
  },
});
app.register(fastifyWebsocket, { errorHandler: (_error: Error, socket: WebSocket) => socket.terminate() });
app.register(fastifyWebsocket, { preClose: (done) => done() });
app.register(fastifyWebsocket, { preClose: async () => {} });
// @ts-expect-error: a number is no handler of errors
app.register(fastifyWebsocket, { errorHandler: 1 });
({ options: { clientTracking: false } }) satisfies WebsocketPluginOptions;

same<WebSocketServer>()(app.websocketServer);
for (const client of app.websocketServer.clients) client satisfies WebSocket;
app.websocketServer.on('connection', (socket, request) => {
  socket satisfies WebSocket;
  same<IncomingMessage>()(request);
});
const injected = await app.injectWS('/', { headers: { 'api-key': 'x' } }, { onInit: (ws) => ws.pause(), onOpen() {} });
injected satisfies WebSocket;
await app.injectWS();

// A handler that was written for ws's own WebSocket.
const written = (socket: WebSocket, request: FastifyRequest) => socket.send(request.url);
app.get('/written', { websocket: true }, written);
const annotated: WebsocketHandler = async (socket, request) => {
  socket satisfies SocketType;
  same<boolean>()(request.ws);
};
app.get('/annotated', { websocket: true }, annotated);
app.get('/returns', { websocket: true }, async () => 'what it likes');

app.get('/http', { websocket: false }, async (request, reply) => {
  same<FastifyRequest>()(request);
  same<FastifyReply>()(reply);
});

interface Named extends RouteGenericInterface {
  Params: { foo: string };
  Querystring: { search: string };
  Headers: { auth: string };
}
app.get<Named>('/named', { websocket: true }, async (_socket, request) => {
  same<{ foo: string }>()(request.params);
  same<{ search: string }>()(request.query);
  same<IncomingMessage['headers'] & { auth: string }>()(request.headers);
});
app.route<Named>({
  method: 'GET',
  url: '/named-beside',
  handler: (request) => same<{ foo: string }>()(request.params),
  wsHandler: (_socket, request) => same<{ search: string }>()(request.query),
});
app.route<Named>({
  method: 'GET',
  url: '/named-whole',
  websocket: true,
  handler(_socket, request) {
    same<FastifyInstance>()(this);
    same<{ foo: string }>()(request.params);
  },
});
app.route({
  method: 'GET',
  url: '/http-whole',
  websocket: false,
  handler: (request, reply) => {
    same<FastifyRequest>()(request);
    same<FastifyReply>()(reply);
  },
});
const kept: AnyRouteOptions = {
  method: 'GET',
  url: '/kept',
  handler: async () => 'a page',
  wsHandler: (socket) => socket.send('hello'),
};
app.route(kept);

// With the options of a route: what beforeUpgrade returns is socket.data, its request is the route's.
app.get<Named & { Data: { name: string } }>(
  '/named-data',
  { websocket: { beforeUpgrade: (request) => ({ name: request.params.foo }) } },
  (socket) => same<{ name: string }>()(socket.data),
);
app.get('/data', { websocket: { beforeUpgrade: async ({ ip }) => ({ ip }) } }, (socket) => {
  same<{ ip: string }>()(socket.data);
});
app.route({
  method: 'GET',
  url: '/data-beside',
  websocket: { subprotocols: ['v1'], beforeUpgrade: (request) => request.id },
  handler: async () => 'a page',
  wsHandler: (socket) => same<string>()(socket.data),
});
({ checkOrigin: (origin, request) => origin === request.hostname }) satisfies RouteOptions<undefined, FastifyRequest>;

// Type providers.
const schema = {
  params: Type.Object({ foo: Type.String() }),
  querystring: Type.Object({ count: Type.Number() }),
  headers: Type.Object({ auth: Type.String() }),
} satisfies FastifySchema;

const typebox = app.withTypeProvider<TypeBoxTypeProvider>();
typebox.get('/typebox', { schema, websocket: true }, (_socket, request) => {
  same<{ foo: string }>()(request.params);
  same<{ count: number }>()(request.query);
  same<IncomingMessage['headers'] & { auth: string }>()(request.headers);
});
typebox.route({
  method: 'GET',
  url: '/typebox-whole',
  schema,
  websocket: { beforeUpgrade: (request) => request.query.count },
  handler: (socket, request) => {
    same<number>()(socket.data);
    same<{ foo: string }>()(request.params);
  },
});
typebox.route({
  method: 'GET',
  url: '/typebox-beside',
  schema,
  handler: (request) => same<{ foo: string }>()(request.params),
  wsHandler: (_socket, request) => same<{ count: number }>()(request.query),
});
typebox.get('/typebox-none', { websocket: true }, async (_socket, request) => {
  same<
    FastifyRequest<
      RouteGenericInterface,
      RawServerDefault,
      RawRequestDefaultExpression,
      FastifySchema,
      TypeBoxTypeProvider,
      unknown,
      FastifyBaseLogger
    >
  >()(request);
  same<unknown>()(request.params);
});

const zod = app
  .setValidatorCompiler(validatorCompiler)
  .setSerializerCompiler(serializerCompiler)
  .withTypeProvider<ZodTypeProvider>();
zod.get(
  '/zod',
  { schema: { querystring: z.object({ since: z.coerce.date() }) }, websocket: { maxPayload: 1024 } },
  (_socket, request) => same<{ since: Date }>()(request.query),
);
