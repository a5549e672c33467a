import websocket, { Refusal, type Upgrader, type WebsocketHandler } from '@drawbridge/fastify';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { same } from './same.js';

const fastify = Fastify();
await fastify.register(websocket, {
  checkOrigin: (origin, request) => origin === `https://${request.hostname}`,
  maxPayload: 1024,
  onError: (error, { request, socket }) => request?.log.error(error, `state ${socket?.readyState}`),
});
// @ts-expect-error: bytes are a number
await fastify.register(websocket, { maxPayload: '1 MiB' });

// A WebSocket handler gets the socket, the request, and the instance as `this`.
fastify.get('/echo', { websocket: true }, function (socket, request) {
  same<FastifyInstance>()(this);
  same<undefined>()(socket.data);
  request.log.info(request.id);
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
fastify.get('/slow', { websocket: true }, async (socket) => {
  for await (const message of socket) same<string | Buffer>()(message);
});
const greet: WebsocketHandler = (socket) => socket.send('hello');
fastify.get('/greet', { websocket: true }, greet);

// Fastify's generics name the parameters.
fastify.get<{ Params: { room: string }; Querystring: { since?: string } }>(
  '/rooms/:room',
  { websocket: { subprotocols: ['v1.chat'], maxPayload: 1024 }, preHandler: async (request) => request.params.room },
  (_socket, request) => {
    same<string>()(request.params.room);
    same<string | undefined>()(request.query.since);
    // @ts-expect-error: no such parameter was named
    request.params.other;
  },
);

// What beforeUpgrade returns is socket.data.
fastify.get(
  '/private',
  {
    websocket: {
      async beforeUpgrade(request: FastifyRequest, { headers }) {
        if (!request.headers.authorization) throw new Refusal(401);
        headers.append('Set-Cookie', 'seen=1');
        return { name: 'ada' };
      },
    },
  },
  (socket) => {
    same<{ name: string }>()(socket.data);
    // @ts-expect-error: beforeUpgrade returned no such thing
    socket.data.age;
  },
);

// One path, both ways.
fastify.route({
  method: 'GET',
  url: '/both',
  handler: async () => 'hello',
  wsHandler: (socket, request) => socket.send(request.url),
});
fastify.get('/http', async (request) => {
  same<boolean>()(request.ws);
  return 'hello';
});

fastify.upgrader satisfies Upgrader<undefined, FastifyRequest>;
for (const connection of fastify.upgrader.connections) connection.ping();

// @ts-expect-error: no such option
fastify.get('/typo', { websocket: { maxPayloud: 1024 } }, () => {});
// @ts-expect-error: the time for the handshake is the server's, not a route's
fastify.get('/late', { websocket: { handshakeTimeout: 1_000 } }, () => {});
// @ts-expect-error: a socket has no reply
fastify.get('/reply', { websocket: true }, (_socket, _request, reply) => reply.send());
