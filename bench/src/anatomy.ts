import type { Contender } from './contenders.js';
import { type Peer, withGenerator } from './peer.js';

/** Few enough for snapshots that are quickly made, many enough to tell a byte. */
const CONNECTIONS = 3_000;

/** What is less than this many bytes of a connection is not shown by itself. */
const LEAST = 8;

type Bytes = Record<string, number>;

/** What one idle connection consists of, from heap snapshots: bytes of each class and kind, contender by contender. */
export async function anatomy(
  contenders: readonly Contender[],
  startServer: (contender: Contender) => Peer,
  startGenerator: (port: number) => Peer,
): Promise<string> {
  const columns: Bytes[] = [];
  for (const contender of contenders) columns.push(await consistence(startServer(contender), startGenerator));
  const names = new Set(columns.flatMap((column) => Object.keys(column)));
  const shown = [...names].filter((name) => columns.some((column) => Math.abs(column[name] ?? 0) >= LEAST));
  shown.sort((a, b) => (columns[0]?.[b] ?? 0) - (columns[0]?.[a] ?? 0));
  const lines = shown.map((name) =>
    line(
      `\`${name}\``,
      columns.map((column) => column[name] ?? 0),
    ),
  );
  const all = line(
    'all',
    columns.map((column) => Object.values(column).reduce((sum, one) => sum + one, 0)),
  );
  const head = `| bytes | ${contenders.map(({ name }) => name).join(' | ')} |\n|---|${contenders.map(() => '---:|').join('')}`;
  return [head, ...lines, all, ''].join('\n');
}

function consistence(server: Peer, startGenerator: (port: number) => Peer): Promise<Bytes> {
  return withGenerator(server, startGenerator, async (generator) => {
    await generator.ask({ ask: 'open', path: '/hub', count: 500 });
    const before = (await server.ask({ ask: 'census' })).bytes as Bytes;
    await generator.ask({ ask: 'open', path: '/hub', count: CONNECTIONS });
    const after = (await server.ask({ ask: 'census' })).bytes as Bytes;
    return Object.fromEntries(
      Object.entries(after).map(([name, bytes]) => [name, (bytes - (before[name] ?? 0)) / CONNECTIONS]),
    );
  });
}

function line(name: string, values: number[]): string {
  return `| ${name} | ${values.map((value) => Math.round(value)).join(' | ')} |`;
}
