import { Peer, withGenerator } from './peer.js';

type StartGenerator = (port: number) => Peer;

/** How cost grows with the number of connections, rooms and routes: each row should be as cheap as the one above it. */
export async function growth(
  server: string[],
  startGenerator: StartGenerator,
  core: number | undefined,
): Promise<string> {
  const lines = ['| connections | RSS each | heartbeat, CPU per second | close of all |', '|---:|---:|---:|---:|'];
  for (const count of [1_000, 5_000, 18_000, 50_000])
    lines.push(await connections(server, startGenerator, core, count));
  lines.push('', '| rooms, 10,000 connections in all | CPU of a broadcast to each room |', '|---:|---:|');
  for (const count of [10, 1_000, 10_000]) lines.push(await rooms(server, startGenerator, core, count));
  lines.push('', '| routes | handshakes per CPU-second |', '|---:|---:|');
  for (const count of [10, 1_000, 10_000]) lines.push(await routes(server, startGenerator, core, count));
  return `${lines.join('\n')}\n`;
}

async function connections(command: string[], start: StartGenerator, core: number | undefined, count: number) {
  return withServer(command, start, core, {}, async (server, generator) => {
    await generator.ask({ ask: 'handshakes', concurrency: 8, total: 8_000 });
    const before = (await server.ask({ ask: 'memory' })).rss as number;
    try {
      await generator.ask({ ask: 'open', path: '/hub', count });
    } catch {
      return `| ${number(count)} | more than this machine lets a process have | | |`;
    }
    const each = (((await server.ask({ ask: 'memory' })).rss as number) - before) / count;
    const idle = await cpuPerSecond(server);
    const { wall } = await server.ask({ ask: 'close' });
    return `| ${number(count)} | ${number(each)} B | ${(idle * 1000).toFixed(1)} ms | ${number(wall as number)} ms |`;
  });
}

async function rooms(command: string[], start: StartGenerator, core: number | undefined, count: number) {
  return withServer(command, start, core, { ROOMS: String(count) }, async (server, generator) => {
    await generator.ask({ ask: 'open', path: '/hub', count: 10_000 });
    for (let i = 0; i < 5; i++) await server.ask({ ask: 'broadcast' });
    const { seconds } = await server.ask({ ask: 'broadcast' });
    return `| ${number(count)} | ${((seconds as number) * 1000).toFixed(1)} ms |`;
  });
}

async function routes(command: string[], start: StartGenerator, core: number | undefined, count: number) {
  return withServer(command, start, core, { ROUTES: String(count) }, async (server, generator) => {
    const work = { ask: 'handshakes', concurrency: 8, path: `/route${count - 1}/room` };
    await generator.ask({ ...work, total: 8_000 });
    const before = (await server.ask({ ask: 'cpu' })).seconds as number;
    await generator.ask({ ...work, total: 4_000 });
    const seconds = ((await server.ask({ ask: 'cpu' })).seconds as number) - before;
    return `| ${number(count)} | ${number(4_000 / seconds)} |`;
  });
}

/** As long as the heartbeat's interval: every connection is pinged once, and answers. */
const INTERVAL = 30;

async function cpuPerSecond(server: Peer): Promise<number> {
  const before = (await server.ask({ ask: 'cpu' })).seconds as number;
  await new Promise((done) => setTimeout(done, INTERVAL * 1000));
  return (((await server.ask({ ask: 'cpu' })).seconds as number) - before) / INTERVAL;
}

function withServer(
  command: string[],
  start: StartGenerator,
  core: number | undefined,
  env: NodeJS.ProcessEnv,
  work: (server: Peer, generator: Peer) => Promise<string>,
): Promise<string> {
  const server = new Peer(command, { core, env });
  return withGenerator(server, start, (generator) => work(server, generator));
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en');
}
