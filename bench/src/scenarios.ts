import type { Dialect } from './contenders.js';
import type { Peer } from './peer.js';

export interface Scenario {
  name: string;
  title: string;
  unit: string;
  /** Whether less is better, so that a ratio has to be read the other way. */
  less?: boolean;
  /** Servers that have nothing to show here. */
  not?: readonly string[];
  long?: boolean;
  /** Gives the measure of one contender in one round. */
  run(server: Peer, generator: Peer, dialect: Dialect | undefined, scale: number): Promise<number>;
}

export const scenarios: Scenario[] = [
  {
    name: 'handshake',
    title: 'handshakes per CPU-second',
    unit: '/s',

    async run(server, generator, dialect, scale) {
      const work = { ask: 'handshakes', concurrency: 8, dialect };
      // A server that has been up for a while has had its code compiled.
      await generator.ask({ ...work, total: 8_000 });
      const total = Math.round(6_000 * scale);
      return total / (await cpuOf(server, () => generator.ask({ ...work, total })));
    },
  },
  echo(
    'echo-one',
    'echo, one 64 B message in flight on 64 connections',
    { connections: 64, inFlight: 1, bytes: 64 },
    80_000,
  ),
  echo(
    'echo-pipelined',
    'echo, 64 B pipelined (64 in flight, 16 connections)',
    { connections: 16, inFlight: 64, bytes: 64 },
    400_000,
  ),
  echo('echo-16k', 'echo, 16 KiB binary pipelined', { connections: 16, inFlight: 8, bytes: 16 * 1024 }, 24_000),
  broadcast('broadcast-one', 'broadcast to 1,000, one at a time', 1_000, 1, 120),
  broadcast('broadcast-burst', 'broadcast to 1,000, bursts of 20', 1_000, 20, 25),
  { ...broadcast('broadcast-burst-5000', 'broadcast to 5,000, bursts of 20', 5_000, 20, 6), long: true },
  idle('idle', 'bytes of RSS per idle connection', 'rss'),
  {
    ...idle('idle-heap', 'bytes of JavaScript heap per idle connection', 'heap'),
    long: true,
    not: ['go'],
  },
];

function idle(name: string, title: string, kind: 'rss' | 'heap'): Scenario {
  return {
    name,
    title,
    unit: ' B',
    less: true,
    async run(server, generator, dialect, scale) {
      const count = scale < 1 ? 4_000 : 8_000;
      // What V8 sets aside for young objects grows with the first thousands of handshakes, whoever makes them, and stays.
      await generator.ask({ ask: 'handshakes', concurrency: 8, total: 8_000, dialect });
      await generator.ask({ ask: 'open', path: '/hub', count: 500, dialect });
      const before = (await server.ask({ ask: 'memory' }))[kind] as number;
      await generator.ask({ ask: 'open', path: '/hub', count, dialect });
      const after = (await server.ask({ ask: 'memory' }))[kind] as number;
      return (after - before) / count;
    },
  };
}

interface Echo {
  connections: number;
  inFlight: number;
  bytes: number;
}

function echo(name: string, title: string, { connections, inFlight, bytes }: Echo, total: number): Scenario {
  return {
    name,
    title,
    unit: '/s',
    async run(server, generator, dialect, scale) {
      await generator.ask({ ask: 'open', path: '/echo', count: connections, dialect });
      const work = { ask: 'echo', inFlight, bytes };
      const messages = Math.round(total * scale);
      await generator.ask({ ...work, total: messages / 2 });
      return messages / (await cpuOf(server, () => generator.ask({ ...work, total: messages })));
    },
  };
}

function broadcast(name: string, title: string, connections: number, size: number, bursts: number): Scenario {
  return {
    name,
    title,
    unit: ' messages/s',
    async run(server, generator, dialect, scale) {
      await generator.ask({ ask: 'open', path: '/hub', count: connections, dialect });
      const send = async (count: number): Promise<number> => {
        const [{ seconds }] = await Promise.all([
          server.ask({ ask: 'broadcast', bursts: count, size, bytes: 64, gap: 10 }),
          generator.ask({ ask: 'expect', messages: count * size * connections, bytes: 64 }),
        ]);
        return seconds as number;
      };
      const count = Math.ceil(bursts * scale);
      await send(Math.ceil(count / 3));
      return (count * size * connections) / (await send(count));
    },
  };
}

async function cpuOf(server: Peer, work: () => Promise<unknown>): Promise<number> {
  const before = (await server.ask({ ask: 'cpu' })).seconds as number;
  await work();
  return ((await server.ask({ ask: 'cpu' })).seconds as number) - before;
}
