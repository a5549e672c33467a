import { createServer } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { serve } from '../serve.js';

// ws as it is used by hand: no server of its own, one upgrade listener, a switch on the path.
const server = createServer();
const wss = new WebSocketServer({ noServer: true });
const hub = new Set<WebSocket>();

server.on('upgrade', (request, socket, head) => {
  switch (request.url) {
    case '/echo':
      wss.handleUpgrade(request, socket, head, (ws) => {
        ws.on('error', console.error);
        ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
      });
      break;
    case '/hub':
      wss.handleUpgrade(request, socket, head, (ws) => {
        ws.on('error', console.error);
        ws.on('close', () => hub.delete(ws));
        hub.add(ws);
      });
      break;
    default:
      socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
  }
});

await serve({
  server,
  broadcast: (text) => {
    for (const ws of hub) ws.send(text);
  },
});
