import websocket, { Refusal } from '@drawbridge/fastify';
import Fastify from 'fastify';

const fastify = Fastify();
await fastify.register(websocket);

fastify.decorate('greet', (name: string) => `hello, ${name}`);

fastify.setErrorHandler((error, _request, reply) => {
  if (error instanceof Refusal) return reply.code(error.status).send({ error: error.code, message: error.message });
  throw error;
});

await fastify.register(async (members) => {
  members.addHook('onRequest', async (request, reply) => {
    if (request.headers['x-member'] === undefined) throw new Refusal(403, { code: 'MEMBERS_ONLY' });
    reply.header('Set-Cookie', 'member=yes; HttpOnly; SameSite=Strict');
  });

  members.get('/lounge', { websocket: true }, function (socket, request) {
    socket.send(this.greet(String(request.headers['x-member'])));
  });
});

await fastify.listen({ port: 8080 });

declare module 'fastify' {
  interface FastifyInstance {
    greet(name: string): string;
  }
}
