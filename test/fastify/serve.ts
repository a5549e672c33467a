import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import { anyPort, openSockets, type Site } from '../behaviour/hosts/host.js';

/** Lets an application listen for the length of the test. */
export async function serve(fastify: FastifyInstance): Promise<Site> {
  const { server, upgrader } = fastify;
  const sockets = openSockets(server);
  async function stop(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    await fastify.close();
  }
  onTestFinished(stop);
  await fastify.listen({ ...anyPort });
  const { port } = server.address() as AddressInfo;
  return { server, upgrader, secure: false, port, authority: `127.0.0.1:${port}`, sockets, stop } as unknown as Site;
}
