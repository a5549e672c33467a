import websocket from '@drawbridge/fastify';
import Fastify from 'fastify';

const fastify = Fastify();
await fastify.register(websocket, { options: { maxPayload: 1048576 } });

fastify.addHook('preValidation', async (request, reply) => {
  if (request.headers['api-key'] !== 'some-random-key') await reply.code(401).send('not authenticated');
});

fastify.get('/echo', { websocket: true }, (socket) => {
  socket.on('message', (message) => {
    for (const client of fastify.websocketServer.clients) client.send(`someone says ${message}`);
  });
});

await fastify.listen({ port: 8080 });
