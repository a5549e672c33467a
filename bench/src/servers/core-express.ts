import { createServer } from 'node:http';
import type { Connection } from '@drawbridge/core';
import { attach, websocket } from '@drawbridge/express';
import express from 'express';
import { serve } from '../serve.js';

const hub = new Set<Connection>();
const app = express();
app.get(
  '/echo',
  websocket((socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  }),
);
app.get(
  '/hub',
  websocket((socket) => {
    hub.add(socket);
    socket.on('close', () => hub.delete(socket));
  }),
);
const server = createServer(app);
const upgrader = attach(server, app);

await serve({ server, broadcast: (text) => upgrader.broadcast(hub, text) });
