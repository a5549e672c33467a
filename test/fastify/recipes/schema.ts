import websocket from '@drawbridge/fastify';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import { Type } from 'typebox';
import { z } from 'zod';

const fastify = Fastify().withTypeProvider<TypeBoxTypeProvider>();
await fastify.register(websocket);

fastify.get(
  '/feed/:market',
  {
    schema: {
      params: Type.Object({ market: Type.String({ minLength: 3 }) }),
      querystring: Type.Object({ depth: Type.Integer({ default: 5 }) }),
    },
    websocket: true,
  },
  (socket, request) => {
    const { market } = request.params;
    const { depth } = request.query;
    socket.send(`${market}, ${depth} deep`);
  },
);

fastify.get(
  '/orders',
  {
    schema: { message: z.object({ item: z.string(), count: z.int().positive() }) },
    websocket: true,
  },
  async (socket) => {
    socket.on('error', (error) => socket.sendJSON({ error: error.message }));
    for await (const { item, count } of socket) socket.sendJSON({ ordered: `${count} × ${item}` });
  },
);

await fastify.listen({ port: 8080 });
