import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { commandLine, giveUp } from '@drawbridge/example-gatehouse';
import { goodbye, serve } from './by-hand.js';
import { sendFile } from './files.js';

const { port } = commandLine();
const sockets = new Set<Socket>();

const server = createServer((socket) => {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  socket.on('error', () => socket.destroy());
  serve(socket, (path) => sendFile(socket, path)).catch(() => socket.destroy());
});
server.listen(port, '127.0.0.1');
await once(server, 'listening').catch(() => giveUp(`Port ${port} is taken; choose another with PORT or --port.`));
console.log(`By hand: open http://127.0.0.1:${(server.address() as AddressInfo).port} in a browser; Ctrl-C ends it.`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const socket of sockets) socket.end(goodbye(1001));
    setTimeout(() => process.exit(), 500).unref();
    server.close();
  });
}
