import { createServer, Server } from 'node:http';
import { type Connection, type InjectOptions, inject as injectIntoServer } from '@drawbridge/core';
import type { Application } from 'express';
import { attach } from './attach.js';
import { attachmentOf } from './attachments.js';

/** A server that listens nowhere for each application that was injected into. */
const servers = new WeakMap<Application, Server>();

/**
 * Opens a WebSocket to an application without a port, through its middleware as over a network; for tests, beside supertest.
 * An application that was attached (or has `withWebSockets`) is injected into by the options it was given there, any other by
 * the defaults. Gives the client's `Connection`; rejects with `HandshakeRefused` (`status`, `headers`, `body`).
 *
 * @example
 * const socket = await inject(app, '/rooms/1', { headers: { cookie }, subprotocols: ['v1.chat'] });
 * expect(await socket.receive()).toBe('welcome');
 */
export function inject(target: Application | Server, path: string, options?: InjectOptions): Promise<Connection> {
  return injectIntoServer(target instanceof Server ? target : serverOf(target), path, options);
}

function serverOf(app: Application): Server {
  let server = servers.get(app);
  if (server) return server;
  server = createServer(app);
  const known = attachmentOf(app);
  if (known) known.upgrader.attach(server, known.dispatch);
  else attach(server, app);
  servers.set(app, server);
  return server;
}
