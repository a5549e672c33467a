import { createServer } from 'node:http';
import express from 'express';
import expressWs from 'express-ws';
import type { WebSocket } from 'ws';
import { serve } from '../serve.js';

const hub = new Set<WebSocket>();
const app = express();
const server = createServer(app);
const { app: wsApp } = expressWs(app as never, server as never);
wsApp.ws('/echo', (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary as unknown as boolean }));
});
wsApp.ws('/hub', (ws) => {
  hub.add(ws as never);
  ws.on('close', () => hub.delete(ws as never));
});

await serve({
  server,
  broadcast: (text) => {
    for (const ws of hub) ws.send(text);
  },
});
