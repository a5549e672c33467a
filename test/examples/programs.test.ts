import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Program } from './program.js';

/** The examples with a page, what else they take, and where they listen. */
const sites = [
  { name: 'by-hand', usage: '[--port 8080]', host: '127.0.0.1' },
  { name: 'chat', usage: '[--port 8080]', host: 'localhost' },
  { name: 'command', usage: '[--port 8080] [--shell | -- COMMAND ARGUMENT ...]', host: '127.0.0.1' },
  { name: 'file-watch', usage: '[--port 8080] [FILE]', host: 'localhost' },
  { name: 'tcp-gateway', usage: '[--port 8080] [--allow HOST:PORT ...]', host: '127.0.0.1' },
  { name: 'udp-feed', usage: '[--port 8080] [--udp-port 7008]', host: 'localhost' },
];

const examples = join(import.meta.dirname, '../../examples');
const start = (name: string, args: string[] = [], environment: NodeJS.ProcessEnv = { PORT: '0' }) =>
  Program.run('examples/run.mjs', [name, ...args], environment);

afterEach(() => Program.endAll());

describe.each(sites)('the example $name', ({ name, usage, host }) => {
  it('is started by its name, serves its page, and ends on Ctrl-C, whoever is connected', async () => {
    const program = start(name);
    const url = new URL(await program.url());
    expect(url.hostname).toBe(host);
    const response = await fetch(url);
    expect(await response.text()).toMatch(/<title>Drawbridge .*<script type="module" src="[\w/-]+\.js"><\/script>/s);
    const silent = connect(Number(url.port), host);
    silent.on('error', () => {});
    await once(silent, 'connect');
    program.signal('SIGINT');
    expect(await program.ended()).toMatchObject({ code: 0, stderr: '' });
    silent.destroy();
  });

  it('says in one sentence that its port is taken, and what else there is', async () => {
    const run = (args: string[], environment: NodeJS.ProcessEnv) =>
      Program.run(`examples/${name}/dist/server.js`, args, environment);
    const { port } = new URL(await run([], { PORT: '0' }).url());
    expect(await run([], { PORT: port }).ended()).toEqual({
      code: 1,
      stdout: '',
      stderr: `Port ${port} is taken; choose another with PORT or --port.\n`,
    });
    const { code, stdout, stderr } = await run(['--prot', '1'], {}).ended();
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Unknown option '--prot'.*\n$/);
    expect(stderr).toContain(`; what there is: ${usage}.\n`);
  });
});

describe('npx pnpm example', () => {
  const bins = async () => {
    const folders = await readdir(examples, { withFileTypes: true });
    const manifests = await Promise.all(
      folders
        .filter((entry) => entry.isDirectory())
        .map(async ({ name }) => JSON.parse(await readFile(join(examples, name, 'package.json'), 'utf8'))),
    );
    return manifests.flatMap(({ bin = {} }) => Object.keys(bin));
  };

  it.each([
    [['node', 'run.mjs'], 'Which one? There are:'],
    [['node', 'run.mjs', 'toString'], "There is no example 'toString'; there are:"],
    [['npx', '-y', 'pnpm@12', '--silent', 'example', 'chta'], "There is no example 'chta'; there are:"],
  ])('lists what there is for %j, and fails', async ([command = '', ...args], sentence) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: examples, encoding: 'utf8' });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(sentence);
    const listed = Array.from(stderr.matchAll(/^ {2}([\w, -]+): \S/gm), ([, names = '']) => names.split(', ')).flat();
    expect(listed.sort()).toEqual((await bins()).sort());
    expect(listed).toContain('echo-client');
  });

  it('hands on what stands behind the name, a -- among it', async () => {
    const { status, stderr } = spawnSync(
      'npx',
      ['-y', 'pnpm@12', '--silent', 'example', 'command', '--shell', '--', 'cat', '-n'],
      { cwd: examples, encoding: 'utf8' },
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining('Give it --shell or a command, not both.\n')]);
  });

  it('every example has a README of about ten lines that says how to start it', async () => {
    const folders = (await readdir(examples, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const { name } of folders.filter(({ name }) => name !== 'gatehouse')) {
      const lines = (await readFile(join(examples, name, 'README.md'), 'utf8')).trim().split('\n');
      expect([name, lines.length <= 16]).toEqual([name, true]);
      expect([name, lines.some((line) => /^npx pnpm@12 (start|example [\w-]+)/.test(line))]).toEqual([name, true]);
    }
  });
});
