import websocket from '@drawbridge/fastify';
import Fastify, { type FastifyInstance } from 'fastify';

const fastify = Fastify();

await fastify.register(websocket, {
  async preClose(this: FastifyInstance) {
    this.upgrader.broadcast(this.upgrader.connections, 'back in a minute');
    await this.upgrader.close({ code: 1012, timeout: 5_000, spread: 1_000 });
  },
});

fastify.get('/feed', { websocket: true }, (socket) => socket.send('hello'));

await fastify.listen({ port: 8080 });
