import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Upgrader } from '@drawbridge/core';
import { giveUp } from './command-line.js';

export interface Site {
  /** 0 lets the system choose. */
  port: number;
  /** The address to listen on. Default: all there are. */
  host?: string;
}

/** A server that listens already, and how to close it. */
export interface Listening {
  server: Server;
  close(): Promise<void>;
}

/**
 * Listens, says where, and on Ctrl-C says goodbye to every client. Resolves when all that is over; a second Ctrl-C does not
 * wait for it.
 */
export function serve(title: string, server: Server, upgrader: Upgrader, { port, host }: Site): Promise<void> {
  async function listen() {
    server.listen(port, host);
    await once(server, 'listening');
    return { server, close };
  }
  async function close() {
    await upgrader.close({ timeout: 5_000 });
    server.close();
    server.closeAllConnections(); // a browser keeps spare ones that have not asked for anything yet
  }
  return run(title, listen, host);
}

/** The same for a server that listens and closes in a way of its own. */
export async function run(title: string, listen: () => Promise<Listening>, host = 'localhost'): Promise<void> {
  const { server, close } = await listen().catch(explain);
  const { port } = server.address() as AddressInfo;
  console.log(`${title}: open http://${host}:${port} in a browser; Ctrl-C ends it.`);

  await interrupted();
  console.log('Closing what is open.');
  await close();
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        resolve();
        process.on(signal, () => process.exit(1));
      });
    }
  });
}

function explain(error: NodeJS.ErrnoException & { port?: number }): never {
  const { code, port, syscall, message } = error;
  if (code === 'EADDRINUSE') giveUp(`Port ${port} is taken; choose another with PORT or --port.`);
  if (code === 'EACCES') giveUp(`Port ${port} needs more rights; choose one above 1023 with PORT or --port.`);
  if (syscall) giveUp(`The server cannot listen: ${message}.`);
  throw error;
}
