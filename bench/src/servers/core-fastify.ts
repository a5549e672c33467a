import type { Connection } from '@drawbridge/core';
import websocket from '@drawbridge/fastify';
import Fastify from 'fastify';
import { serve } from '../serve.js';

const hub = new Set<Connection>();
const fastify = Fastify();
await fastify.register(websocket);
fastify.get('/echo', { websocket: true }, (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
fastify.get('/hub', { websocket: true }, (socket) => {
  hub.add(socket as Connection);
  socket.on('close', () => hub.delete(socket as Connection));
});
await fastify.ready();

await serve({ server: fastify.server, broadcast: (text) => fastify.upgrader.broadcast(hub, text) });
