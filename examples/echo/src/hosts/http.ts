import { once } from 'node:events';
import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import sirv from 'sirv';

export async function listen(port: number, page: string) {
  const files = sirv(page);
  const server = createServer((request, response) => files(request, response));

  const upgrader = new Upgrader();
  upgrader.route('/echo', { subprotocols: ['v1.echo'] }, (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  upgrader.attach(server);

  server.listen(port);
  await once(server, 'listening');

  async function close() {
    await upgrader.close({ timeout: 5_000 });
    server.close();
    server.closeAllConnections(); // a browser keeps spare ones that have not asked for anything yet
  }

  return { server, close };
}
