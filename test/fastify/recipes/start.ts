import websocket from '@drawbridge/fastify';
import Fastify from 'fastify';

const fastify = Fastify({ logger: true });
await fastify.register(websocket, { maxPayload: 64 * 1024 });

fastify.get<{ Params: { room: string } }>(
  '/rooms/:room',
  {
    websocket: { subprotocols: ['v1.chat'] },
    preHandler: async (request, reply) => {
      if (request.params.room !== 'lobby') return reply.code(404).send('No such room.');
    },
  },
  async (socket, request) => {
    for await (const message of socket) socket.send(`${request.params.room}: ${message}`);
  },
);

await fastify.listen({ port: 8080 });

process.once('SIGTERM', () => fastify.close());
