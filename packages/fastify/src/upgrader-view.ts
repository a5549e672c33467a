import type { IncomingMessage } from 'node:http';
import type { Connection, Upgrader } from '@drawbridge/core';
import type { FastifyRequest } from 'fastify';
import { WebSocketServer } from 'ws';

/**
 * What @fastify/websocket decorates an instance with: its `clients`, and a 'connection' for each of them. Upgrades go
 * through the Upgrader; its `close()` closes the connections, too.
 */
export class UpgraderView extends WebSocketServer {
  readonly #upgrader: Upgrader<undefined, FastifyRequest>;

  constructor(upgrader: Upgrader<undefined, FastifyRequest>, clientTracking: boolean) {
    super({ noServer: true, clientTracking });
    this.#upgrader = upgrader;
  }

  welcome(socket: Connection<unknown>, request: IncomingMessage): void {
    // Without clientTracking there is no such set, which ws's types do not say.
    const clients = this.clients as Set<unknown> | undefined;
    clients?.add(socket);
    socket.once('close', () => clients?.delete(socket));
    this.emit('connection', socket, request);
  }

  override close(done?: (error?: Error) => void): void {
    void this.#upgrader.close().then(() => super.close(done));
  }
}
