import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Connection, RouteOptions, Upgrader, UpgraderOptions } from '@drawbridge/core';

/** A kind of server that an application runs on. Every behaviour is written once and run against each. */
export interface Host {
  readonly name: string;
  readonly secure: boolean;
  /** What an ordinary HTTP request gets on a path that has only a WebSocket route. */
  readonly plainRequestStatus: 404 | 426;
  /** How this host's router spells "everything below `prefix`", and where it leaves that rest. */
  readonly wildcard: { under(prefix: string): string; rest(params: Params): string };
  start(plan: Plan): Promise<Site>;
}

/** An application: what it serves, and what it puts in front. */
export interface Plan {
  options?: UpgraderOptions;
  routes?: Route[];
  /** Ordinary HTTP resources, for GET and POST. */
  pages?: Record<string, Page>;
  /** Called with the server before Drawbridge is attached to it. */
  before?(server: Server): void | Promise<void>;
}

export interface Route {
  path: string;
  options?: RouteOptions<unknown>;
  /** What stands before the route in this host's own manner, first to last. */
  gates?: Gate[];
  handler?: Handler;
}

export type Handler = (socket: Connection<unknown>, request: Arrival) => void | Promise<void>;

/** What the request of every host has in common. */
export interface Arrival {
  headers: IncomingHttpHeaders;
  params: Params;
  query: Record<string, unknown>;
}

export type Params = Record<string, string | string[]>;

/** Answers a GET with its text, a POST with what it makes of the body. */
export type Page = (body: string) => string | Promise<string>;

/** Express's middleware, Fastify's hook, `beforeUpgrade` on a bare server: passes by returning, refuses by throwing. */
export type Gate = (visit: Visit) => void | Promise<void>;

export interface Visit {
  readonly headers: IncomingHttpHeaders;
  /** Fires when the client is gone, by this host's own means. */
  readonly signal: AbortSignal;
  /** Adds a header to whatever answer the client gets. */
  append(name: string, value: string): void;
  /** Answers instead of the route. */
  answer(status: number, headers: Record<string, string>, body: string): void;
}

/** An application that listens. */
export interface Site {
  readonly server: Server;
  readonly upgrader: Upgrader;
  readonly secure: boolean;
  readonly port: number;
  /** `host:port`, as it stands in the Host header. */
  readonly authority: string;
  /** The TCP connections that the server has open at this moment. */
  readonly sockets: ReadonlySet<Socket>;
  stop(): Promise<void>;
}

/** Follows a server's connections from the first on; call it before it listens. */
export function openSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

/** 127.0.0.1, any port, and room for the many that knock at once. */
export const anyPort = { host: '127.0.0.1', port: 0, backlog: 2048 };

export function siteOf(
  server: Server,
  upgrader: Upgrader,
  secure: boolean,
  sockets: Set<Socket>,
  close: () => Promise<unknown>,
): Site {
  const { port } = server.address() as AddressInfo;
  return {
    server,
    upgrader,
    secure,
    port,
    authority: `127.0.0.1:${port}`,
    sockets,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await upgrader.close();
      await close();
    },
  };
}

export async function bodyOf(request: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
