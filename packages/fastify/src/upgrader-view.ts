import type { IncomingMessage } from 'node:http';
import type { Connection, Upgrader } from '@drawbridge/core';
import type { FastifyRequest } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * What @fastify/websocket decorates an instance with: its `clients`, and a 'connection' for each of them. Upgrades go
 * through the Upgrader; its `close()` closes the connections, too.
 */
export class UpgraderView extends WebSocketServer {
  readonly #upgrader: Upgrader<undefined, FastifyRequest>;
  /** One for all connections. */
  readonly #onClose: (this: WebSocket) => void;

  constructor(upgrader: Upgrader<undefined, FastifyRequest>, clientTracking: boolean) {
    super({ noServer: true, clientTracking });
    this.#upgrader = upgrader;
    const { clients } = this;
    this.#onClose = function () {
      clients.delete(this);
    };
  }

  welcome(socket: Connection<unknown>, request: IncomingMessage): void {
    // Without clientTracking there is no such set, which ws's types do not say.
    if (this.clients as Set<unknown> | undefined) {
      this.clients.add(socket);
      socket.on('close', this.#onClose);
    }
    this.emit('connection', socket, request);
  }

  override close(done?: (error?: Error) => void): void {
    void this.#upgrader.close().then(() => super.close(done));
  }
}
