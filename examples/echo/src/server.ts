import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type CommandLine, type HostName, readCommandLine, UsageError } from './command-line.js';

interface Host {
  listen(port: number, page: string): Promise<{ server: Server; close(): Promise<void> }>;
}

const hosts: Record<HostName, () => Promise<Host>> = {
  express: () => import('./hosts/express.js'),
  fastify: () => import('./hosts/fastify.js'),
  http: () => import('./hosts/http.js'),
};
const page = fileURLToPath(new URL('../public', import.meta.url));

async function start({ host, port }: CommandLine) {
  const { listen } = await hosts[host]();
  const { server, close } = await listen(port, page);
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  console.log(`Echo on ${host}: open ${url} in a browser; Ctrl-C ends it.`);

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      console.log('Closing what is open.');
      void close();
    });
  }
}

function explain(error: unknown): never {
  const { code, port } = error as { code?: unknown; port?: unknown };
  if (error instanceof UsageError) giveUp(error.message);
  if (code === 'EADDRINUSE') giveUp(`Port ${port} is taken; choose another with PORT or --port.`);
  if (code === 'EACCES') giveUp(`Port ${port} needs more rights; choose one above 1023 with PORT or --port.`);
  throw error;
}

function giveUp(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

try {
  await start(readCommandLine(process.argv.slice(2), process.env));
} catch (error) {
  explain(error);
}
