import type { IncomingMessage, Server } from 'node:http';
import { connectInProcess } from '@drawbridge/core';
import type { FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';

export interface InjectWSOptions {
  /** Called with the client before it connects: the place for listeners that must not miss the first message. */
  onInit?: (socket: WebSocket) => void;
  /** Called when it is open. */
  onOpen?: (socket: WebSocket) => void;
}

/**
 * Opens a WebSocket to the application without a port: the handshake and all that follows go over a pair of streams in this
 * process. Of the context, the headers are sent. Rejects with `Unexpected server response: <status>` if it is refused.
 */
export async function injectWS(
  fastify: FastifyInstance,
  server: Server,
  path: string,
  { headers: { 'sec-websocket-protocol': offered, ...headers } = {} }: Partial<Pick<IncomingMessage, 'headers'>>,
  { onInit, onOpen }: InjectWSOptions,
): Promise<WebSocket> {
  await fastify.ready();
  const protocols = offered?.split(',').map((one) => one.trim()) ?? [];
  const socket = new WebSocket(`ws://localhost${path}`, protocols, {
    headers,
    createConnection: () => connectInProcess(server) as never,
  });
  onInit?.(socket);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () => {
      socket.off('error', reject);
      onOpen?.(socket);
      resolve(socket);
    });
  });
}
