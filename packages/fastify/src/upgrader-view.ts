import type { IncomingMessage } from 'node:http';
import type { Connection, Upgrader } from '@drawbridge/core';
import type { FastifyRequest } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * What @fastify/websocket decorates an instance with: its `clients`, which are the Upgrader's connections, and a
 * 'connection' for each of them. Upgrades go through the Upgrader; its `close()` closes the connections, too.
 */
export class UpgraderView extends WebSocketServer {
  readonly #upgrader: Upgrader<undefined, FastifyRequest>;

  constructor(upgrader: Upgrader<undefined, FastifyRequest>, clientTracking: boolean) {
    super({ noServer: true, clientTracking: false });
    this.#upgrader = upgrader;
    if (clientTracking) this.clients = upgrader.connections as unknown as Set<WebSocket>;
  }

  welcome(socket: Connection<unknown>, request: IncomingMessage): void {
    this.emit('connection', socket, request);
  }

  override close(done?: (error?: Error) => void): void {
    void this.#upgrader.close().then(() => super.close(done));
  }
}
