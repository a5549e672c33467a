import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { commandLine, giveUp } from '@drawbridge/example-gatehouse';

const { port } = commandLine('', { options: { port: { type: 'string', default: process.env.PORT || '7007' } } });
const here = new Set<Socket>();
let visits = 0;

const server = createServer({ allowHalfOpen: true }, async (socket) => {
  const name = `client ${++visits} (${socket.remoteAddress}:${socket.remotePort})`;
  here.add(socket);
  console.log(`${name} came; here: ${here.size}`);
  const how = await pipeline(socket, socket).then(
    () => 'left',
    () => 'broke off',
  );
  socket.destroy();
  here.delete(socket);
  console.log(`${name} ${how} after ${socket.bytesRead} bytes; here: ${here.size}`);
});

server.listen(port, '127.0.0.1');
await once(server, 'listening').catch(() => giveUp(`Port ${port} is taken; choose another with PORT or --port.`));
console.log(`TCP echo at 127.0.0.1:${(server.address() as AddressInfo).port}; Ctrl-C ends it.`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close();
    for (const socket of here) socket.end();
    setTimeout(() => process.exit(), 1_000).unref();
  });
}
