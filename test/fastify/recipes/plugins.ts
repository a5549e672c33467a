import websocket, { bearerToken } from '@drawbridge/fastify';
import cookie from '@fastify/cookie';
import jwt from '@fastify/jwt';
import session from '@fastify/session';
import Fastify from 'fastify';

const fastify = Fastify();
await fastify.register(websocket);

await fastify.register(cookie);
await fastify.register(session, { secret: 'a secret of at least thirty-two letters', cookie: { secure: 'auto' } });

fastify.get(
  '/count',
  {
    websocket: true,
    preHandler: async ({ session }) => {
      session.visits = (session.visits ?? 0) + 1;
    },
  },
  (socket, { session }) => {
    socket.send(`visit ${session.visits}`);
    socket.on('message', async (data) => {
      session.lastWord = String(data);
      await session.save();
      socket.send('saved');
    });
  },
);

await fastify.register(jwt, { secret: 'another secret', verify: { extractToken: (request) => bearerToken(request) } });

fastify.get(
  '/account',
  {
    websocket: { subprotocols: ['v1.bank'] },
    onRequest: async (request) => {
      await request.jwtVerify();
    },
  },
  (socket, request) => socket.send(JSON.stringify(request.user)),
);

fastify.get('/last-word', async ({ session }) => session.lastWord ?? '');

await fastify.listen({ port: 8080 });

declare module 'fastify' {
  interface Session {
    visits?: number;
    lastWord?: string;
  }
}
