import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { type AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { anyPort } from '../behaviour/hosts/host.js';

const folder = join(import.meta.dirname, 'recipes');

const started = new Map<string, Promise<Server>>();

afterAll(async () => {
  for (const server of await Promise.all(started.values())) await once(server.close(), 'close');
});

/** Runs a program of the page as it stands, but for the port, as long as the test file lasts; gives the port. */
export async function startProgram(name: string): Promise<number> {
  const server = started.get(name) ?? start(name);
  started.set(name, server);
  return ((await server).address() as AddressInfo).port;
}

async function start(name: string): Promise<Server> {
  const { listen } = Server.prototype;
  const whenListening = new Promise<Server>((resolve) => {
    Server.prototype.listen = function (this: Server) {
      this.once('listening', () => resolve(this));
      return listen.call(this, anyPort);
    } as typeof listen;
  });
  try {
    await import(`./recipes/${name}.ts`);
    return await whenListening;
  } finally {
    Server.prototype.listen = listen;
  }
}

/** The text of all programs there are. */
export async function programs(): Promise<string[]> {
  const names = await readdir(folder);
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}
