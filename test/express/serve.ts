import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { attach, type UpgraderOptions } from '@drawbridge/express';
import express, { type Application, type Request } from 'express';
import express4 from 'express4';
import { onTestFinished } from 'vitest';
import { anyPort, openSockets, type Site, siteOf } from '../behaviour/hosts/host.js';

/** The major versions that are supported; what they are given has to suit both. */
export const versions = [
  { name: 'Express 4', express: express4 },
  { name: 'Express 5', express },
];

export interface Served extends Site {
  /** What was reported to `onError`, first to last. */
  readonly errors: unknown[];
}

/** Attaches the application to a server that listens for the length of the test. */
export async function serve(app: Application, options: UpgraderOptions<undefined, Request> = {}): Promise<Served> {
  const server = createServer(app);
  const errors: unknown[] = [];
  const upgrader = attach(server, app, { onError: (error) => errors.push(error), ...options });
  return Object.assign(await open(server, upgrader), { errors });
}

/** Lets a server listen for the length of the test. */
export async function open(server: Server, upgrader: unknown): Promise<Site> {
  const sockets = openSockets(server);
  if (!server.listening) await once(server.listen(anyPort), 'listening');
  const site = siteOf(server, upgrader as Site['upgrader'], false, sockets, async () => server.close());
  onTestFinished(() => site.stop());
  return site;
}
