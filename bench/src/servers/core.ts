import { createServer } from 'node:http';
import { type Connection, Upgrader } from '@drawbridge/core';
import { serve } from '../serve.js';

const hub = new Set<Connection>();
const upgrader = new Upgrader();
upgrader.route('/echo', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
upgrader.route('/hub', (socket) => {
  hub.add(socket);
  socket.on('close', () => hub.delete(socket));
});
const server = createServer();
upgrader.attach(server);

await serve({ server, broadcast: (text) => upgrader.broadcast(hub, text) });
