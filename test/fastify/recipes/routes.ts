import websocket, { Refusal } from '@drawbridge/fastify';
import Fastify from 'fastify';

const users = new Map([['Bearer a-token', { name: 'Ada' }]]);

const fastify = Fastify();
await fastify.register(websocket);

fastify.get('/echo', { websocket: true }, (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

fastify.get(
  '/private',
  {
    websocket: {
      maxPayload: 1024,
      beforeUpgrade(request) {
        const user = users.get(request.headers.authorization ?? '');
        if (!user) throw new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'Log in first.' });
        return user;
      },
    },
  },
  (socket) => socket.send(`welcome, ${socket.data.name}`),
);

fastify.route({
  method: 'GET',
  url: '/clock',
  handler: async () => new Date().toISOString(),
  wsHandler: (socket) => {
    const timer = setInterval(() => socket.send(new Date().toISOString()), 1000);
    socket.on('close', () => clearInterval(timer));
  },
});

await fastify.listen({ port: 8080 });
