import websocket from '@drawbridge/fastify';
import files from '@fastify/static';
import Fastify from 'fastify';

export async function listen(port: number, page: { own: string; shared: string }) {
  const fastify = Fastify({ forceCloseConnections: true }); // a browser keeps spare ones that have not asked for anything yet
  await fastify.register(files, { root: [page.own, page.shared] });
  await fastify.register(websocket);
  fastify.get('/echo', { websocket: { subprotocols: ['v1.echo'] } }, (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });

  await fastify.listen({ port });

  async function close() {
    await fastify.upgrader.close({ timeout: 5_000 });
    await fastify.close();
  }

  return { server: fastify.server, close };
}
