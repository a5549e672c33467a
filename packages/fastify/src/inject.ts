import { type Connection, type InjectOptions, inject as injectIntoServer } from '@drawbridge/core';
import type { FastifyInstance } from 'fastify';

/**
 * Opens a WebSocket to an application without a port, through its hooks as over a network; for tests, beside
 * `fastify.inject()`. Gives the client's `Connection`; rejects with `HandshakeRefused` (`status`, `headers`, `body`).
 *
 * @example
 * const socket = await inject(fastify, '/rooms/1', { headers: { authorization: `Bearer ${token}` } });
 * expect(await socket.receive()).toBe('welcome');
 */
export async function inject(fastify: FastifyInstance, path: string, options?: InjectOptions): Promise<Connection> {
  await fastify.ready();
  return injectIntoServer(fastify.server, path, options);
}
