import { once } from 'node:events';
import { attach, websocket } from '@drawbridge/express';
import express from 'express';

export async function listen(port: number, page: { own: string; shared: string }) {
  const app = express();
  app.use(express.static(page.own), express.static(page.shared));
  app.get(
    '/echo',
    websocket({ subprotocols: ['v1.echo'] }, (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    }),
  );

  const server = app.listen(port);
  const upgrader = attach(server, app);
  await once(server, 'listening');

  async function close() {
    await upgrader.close({ timeout: 5_000 });
    server.close();
    server.closeAllConnections(); // a browser keeps spare ones that have not asked for anything yet
  }

  return { server, close };
}
