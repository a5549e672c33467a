import websocket from '@fastify/websocket';
import Fastify from 'fastify';
import type { WebSocket } from 'ws';
import { serve } from '../serve.js';

const hub = new Set<WebSocket>();
const fastify = Fastify();
await fastify.register(websocket);
fastify.get('/echo', { websocket: true }, (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
fastify.get('/hub', { websocket: true }, (socket) => {
  hub.add(socket);
  socket.on('close', () => hub.delete(socket));
});
await fastify.ready();

await serve({
  server: fastify.server,
  broadcast: (text) => {
    for (const ws of hub) ws.send(text);
  },
});
