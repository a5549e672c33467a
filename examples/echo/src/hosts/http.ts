import { once } from 'node:events';
import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import sirv from 'sirv';

export async function listen(port: number, page: { own: string; shared: string }) {
  const own = sirv(page.own);
  const shared = sirv(page.shared);
  const server = createServer((request, response) => own(request, response, () => shared(request, response)));

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
