import { createServer } from 'node:http';
import { WebSocketExpress } from 'websocket-express';
import type { WebSocket } from 'ws';
import { serve } from '../serve.js';

const hub = new Set<WebSocket>();
const app = new WebSocketExpress();
app.ws('/echo', async (_request, response) => {
  const ws = await response.accept();
  ws.on('message', (data: Buffer, isBinary: boolean) => ws.send(data, { binary: isBinary }));
});
app.ws('/hub', async (_request, response) => {
  const ws = await response.accept();
  hub.add(ws as never);
  ws.on('close', () => hub.delete(ws as never));
});
const server = createServer();
app.attach(server);

await serve({
  server,
  broadcast: (text) => {
    for (const ws of hub) ws.send(text);
  },
});
