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

/**
 * Listens, says where, and on Ctrl-C says goodbye to every client. Resolves when all that is over; a second Ctrl-C does not
 * wait for it.
 */
export async function serve(title: string, server: Server, upgrader: Upgrader, { port, host }: Site): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening').catch(explain);
  const address = server.address() as AddressInfo;
  console.log(`${title}: open http://${host ?? 'localhost'}:${address.port} in a browser; Ctrl-C ends it.`);

  await interrupted();
  console.log('Closing what is open.');
  await upgrader.close({ timeout: 5_000 });
  server.close();
  server.closeAllConnections(); // a browser keeps spare ones that have not asked for anything yet
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

function explain({ code, port, message }: NodeJS.ErrnoException & { port?: number }): never {
  if (code === 'EADDRINUSE') giveUp(`Port ${port} is taken; choose another with PORT or --port.`);
  if (code === 'EACCES') giveUp(`Port ${port} needs more rights; choose one above 1023 with PORT or --port.`);
  giveUp(`The server cannot listen: ${message}.`);
}
