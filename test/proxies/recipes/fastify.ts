import websocket from '@drawbridge/fastify';
import Fastify from 'fastify';

const fastify = Fastify({ trustProxy: '127.0.0.1' });
await fastify.register(websocket);

fastify.get('/whoami', { websocket: true }, (socket, request) => {
  socket.send(`${request.ip} by ${request.protocol} to ${request.host}`);
});

await fastify.listen({ port: 8080, host: '127.0.0.1' });
