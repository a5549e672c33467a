import { createServer } from 'node:http';
import type { Peer } from 'crossws';
import crossws from 'crossws/adapters/node';
import { serve } from '../serve.js';

const hub = new Set<Peer>();
const ws = crossws({
  hooks: {
    open(peer) {
      if (peer.request.url.endsWith('/hub')) hub.add(peer);
    },
    message(peer, message) {
      peer.send(message.uint8Array());
    },
    close(peer) {
      hub.delete(peer);
    },
  },
});
const server = createServer();
server.on('upgrade', (request, socket, head) => void ws.handleUpgrade(request, socket, head));

await serve({
  server,
  broadcast: (text) => {
    for (const peer of hub) peer.send(text);
  },
});
