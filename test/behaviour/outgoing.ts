import type { Socket } from 'node:net';
import type { Connection, RouteOptions, UpgraderOptions } from '@drawbridge/core';
import { onTestFinished } from 'vitest';
import { closeFrame } from './frames.js';
import { type Host, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { knock, type Wire } from './raw.js';
import { type Encoding, readStrictly } from './strict-reader.js';

export const encodings: readonly Encoding[] = ['plain', 'context', 'contextless'];

const threshold = 64;
const routeOptions: Record<Encoding, RouteOptions<unknown>> = {
  plain: {},
  context: { perMessageDeflate: { threshold } },
  contextless: { perMessageDeflate: { threshold, serverNoContextTakeover: true } },
};

/** A client that takes down every byte, and the connection that it has with the server. */
export class Listener {
  readonly wire: Wire;
  readonly server: Connection<unknown>;
  readonly #encoding: Encoding;

  constructor(wire: Wire, server: Connection<unknown>, encoding: Encoding) {
    this.wire = wire;
    this.server = server;
    this.#encoding = encoding;
  }

  /** Closes, and gives all that it was told to the end. */
  async part(): Promise<string[]> {
    this.wire.send(closeFrame(1000));
    return this.hear();
  }

  /** All that it was told, when the server has ended the connection. */
  async hear(): Promise<string[]> {
    await this.wire.ending();
    return readStrictly(this.wire.unread, this.#encoding);
  }

  /** The server's end of the network. */
  get transport(): Socket {
    return (this.server as unknown as { _socket: Socket })._socket;
  }
}

export interface Audience<Names extends readonly Encoding[]> {
  site: Site;
  listeners: { [Index in keyof Names]: Listener };
  /** One more comes. */
  join(encoding: Encoding): Promise<Listener>;
}

/** An application, and clients that speak with it in these ways. */
export async function gather<const Names extends readonly Encoding[]>(
  host: Host,
  names: Names,
  options: UpgraderOptions = {},
): Promise<Audience<Names>> {
  let arrived = latch<Connection<unknown>>();
  const routes = encodings.map((encoding) => ({
    path: `/${encoding}`,
    options: routeOptions[encoding],
    handler: (socket: Connection<unknown>) => arrived.open(socket),
  }));
  const site = await serve(host, { options, routes });

  async function join(encoding: Encoding): Promise<Listener> {
    arrived = latch();
    const offer = encoding === 'plain' ? null : 'permessage-deflate';
    const wire = await knock(site, { path: `/${encoding}`, headers: { 'Sec-WebSocket-Extensions': offer } });
    onTestFinished(() => wire.reset());
    await wire.response();
    return new Listener(wire, await arrived.promise, encoding);
  }

  const listeners: Listener[] = [];
  for (const name of names) listeners.push(await join(name));
  return { site, listeners: listeners as Audience<Names>['listeners'], join };
}

/** How often the server hands something to the system from now on. */
export function countWrites({ transport }: Pick<Listener, 'transport'>): () => number {
  let count = 0;
  for (const name of ['_write', '_writev'] as const) {
    const write = transport[name] as Socket['_write'];
    transport[name] = function (this: Socket, ...args: Parameters<typeof write>) {
      count++;
      return write.apply(this, args);
    } as never;
  }
  return () => count;
}

/** What the server's end of the connection is given to write from now on: Buffers, or strings of bytes. */
export function watchWrites({ transport }: Pick<Listener, 'transport'>): (Buffer | string)[] {
  const written: (Buffer | string)[] = [];
  const write = transport.write;
  transport.write = function (this: Socket, chunk: Buffer | string, ...rest: never[]) {
    written.push(chunk);
    return write.call(this, chunk, ...rest);
  } as typeof write;
  return written;
}

/** The tick ends, and with it everything that is done at its end. */
export function endOfTick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const chunk = Buffer.alloc(64 * 1024);

/** The client stops reading, and is sent binary messages until the network takes no more and a megabyte waits here. */
export async function pileUp({ wire, server }: Listener): Promise<void> {
  wire.pause();
  for (let i = 0; i < 1_000 && server.bufferedAmount < 1024 * 1024; i++) {
    server.send(chunk);
    await endOfTick();
  }
  if (server.bufferedAmount < 1024 * 1024) throw new Error('The network takes everything.');
}
