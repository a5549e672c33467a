import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { anatomy } from './anatomy.js';
import { chart } from './chart.js';
import { type Contender, contenders } from './contenders.js';
import { growth } from './growth.js';
import { Peer, withGenerator } from './peer.js';
import { markdown, type Row } from './report.js';
import { type Scenario, scenarios } from './scenarios.js';

const usage = `Measures Drawbridge beside its peers, interleaved, as ratios within a round.

  pnpm bench [--long] [--scenario NAME]... [--only TEXT] [--rounds N] [--node VERSION] [--svg FILE]

  --long        every contender and scenario, five rounds (default: the short form, about three minutes)
  --scenario    ${scenarios.map(({ name }) => name).join(', ')}
  --only        contenders whose name contains this, and ws by hand
  --growth      instead: how cost grows with connections, rooms and routes
  --anatomy     instead: what one idle connection consists of
  --node        a Node from npm, such as 24, for the servers
  --svg         writes the chart there`;

/** Whose connections are taken apart. */
const wholeHeaps = [
  'ws by hand',
  'Drawbridge, http',
  'Drawbridge, Express 5',
  'Drawbridge, Fastify 5',
  '@fastify/websocket',
];

const options = readOptions();
const rounds = options.rounds;
const serverCore = hasTaskset() ? 0 : undefined;
const generatorCore = hasTaskset() ? 1 : undefined;
const node = options.node ? nodeFromNpm(options.node) : process.execPath;
if (options.growth) {
  process.stdout.write(await growth([node, '--expose-gc', program('servers/growth')], startGenerator, serverCore));
  process.exit();
}

if (options.anatomy) {
  const whole = contenders.filter(({ name }) => wholeHeaps.includes(name));
  process.stdout.write(await anatomy(whole, startServer, startGenerator));
  process.exit();
}

const goServer = buildGo();

const chosenScenarios = scenarios.filter(({ name, long }) =>
  options.scenario.length > 0 ? options.scenario.includes(name) : options.long || !long,
);
const chosenContenders = contenders.filter(
  ({ name, long, server }, i) =>
    i === 0 ||
    ((options.long || !long || options.only) &&
      (server !== 'go' || goServer) &&
      name.toLowerCase().includes(options.only)),
);

const rows: Row[] = [];
const busy = new Map<string, number>();

for (const scenario of chosenScenarios) {
  const taking = chosenContenders.filter((one) => takesPart(one, scenario));
  const measured = taking.map((contender): Row => ({ contender, scenario, values: [], ratios: [] }));
  rows.push(...measured);
  for (let round = 0; round < rounds; round++) {
    for (const row of measured) {
      const value = await measure(row.contender, scenario);
      row.values.push(value);
      row.ratios.push(value / (measured[0]?.values[round] as number));
      process.stderr.write(
        `${scenario.name} ${round + 1}/${rounds} ${row.contender.name}: ${row.ratios.at(-1)?.toFixed(2)}\n`,
      );
    }
  }
}

process.stdout.write(`${markdown(rows, nodeVersion(), busy)}\n`);
if (!goServer && options.long)
  process.stdout.write('gorilla/websocket was left out: Go and its library are not installed here.\n');
if (options.svg) writeFileSync(options.svg, chart(rows));

function takesPart(contender: Contender, scenario: Scenario): boolean {
  return !scenario.not?.includes(contender.server) && (contender.in?.includes(scenario.name) ?? true);
}

function measure(contender: Contender, scenario: Scenario): Promise<number> {
  const server = startServer(contender);
  return withGenerator(server, startGenerator, async (generator) => {
    const before = await generator.ask({ ask: 'cpu' });
    const start = performance.now();
    const value = await scenario.run(server, generator, contender.dialect, options.long ? 1 : 0.35);
    const after = await generator.ask({ ask: 'cpu' });
    const share = (((after.seconds as number) - (before.seconds as number)) * 1000) / (performance.now() - start);
    busy.set(scenario.name, Math.max(busy.get(scenario.name) ?? 0, share));
    return value;
  });
}

function startServer(contender: Contender): Peer {
  const env = contender.bufferutil ? {} : { WS_NO_BUFFER_UTIL: '1' };
  return new Peer(serverCommand(contender), { core: serverCore, env });
}

function startGenerator(port: number): Peer {
  return new Peer([process.execPath, program('generator'), String(port)], { core: generatorCore });
}

function serverCommand({ server }: Contender): string[] {
  return server === 'go' ? [goServer as string] : [node, '--expose-gc', program(`servers/${server}`)];
}

function program(name: string): string {
  return join(import.meta.dirname, `${name}.js`);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(2).filter((arg) => arg !== '--'),
      options: {
        help: { type: 'boolean', default: false },
        long: { type: 'boolean', default: false },
        growth: { type: 'boolean', default: false },
        anatomy: { type: 'boolean', default: false },
        scenario: { type: 'string', multiple: true, default: [] },
        only: { type: 'string', default: '' },
        rounds: { type: 'string' },
        node: { type: 'string' },
        svg: { type: 'string' },
      },
    });
    if (values.help) return exit(usage, 0);
    const unknown = values.scenario.find((name) => !scenarios.some((one) => one.name === name));
    if (unknown) return exit(`There is no scenario ${unknown}.\n\n${usage}`, 1);
    const rounds = Number(values.rounds ?? (values.long ? 5 : 2));
    if (!Number.isInteger(rounds) || rounds < 1) return exit('--rounds takes a number from 1.', 1);
    return { ...values, only: values.only.toLowerCase(), rounds };
  } catch (error) {
    return exit(`${(error as Error).message}\n\n${usage}`, 1);
  }
}

function exit(message: string, code: number): never {
  process[code === 0 ? 'stdout' : 'stderr'].write(`${message}\n`);
  process.exit(code);
}

function hasTaskset(): boolean {
  return availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0;
}

function nodeFromNpm(version: string): string {
  const args = ['-y', '-p', `node@${version}`, 'node', '-p', 'process.execPath'];
  return execFileSync('npx', args, { encoding: 'utf8' }).trim();
}

function nodeVersion(): string {
  return execFileSync(node, ['-p', 'process.version'], { encoding: 'utf8' }).trim().slice(1);
}

/** Debian's package of gorilla/websocket lies where Go looked before there were modules. */
function buildGo(): string | undefined {
  const target = join(mkdtempSync(join(tmpdir(), 'drawbridge-bench-')), 'server');
  const source = join(import.meta.dirname, '../go/main.go');
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode' };
  return spawnSync('go', ['build', '-o', target, source], { env, stdio: 'ignore' }).status === 0 ? target : undefined;
}
