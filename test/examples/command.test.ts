import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, ConnectionClosed, dial } from '@drawbridge/core';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { launch, noBrowser, Tab } from './browser.js';
import { countProcesses } from './processes.js';
import { Program } from './program.js';

const INTERRUPT = '\x03';
const END_OF_INPUT = '\x04';

/** A server for this command; its processes bear a mark. */
async function serving(command: string[] = [], environment: NodeJS.ProcessEnv = {}) {
  const mark = randomUUID();
  const program = Program.run('examples/command/dist/server.js', command.length > 0 ? ['--', ...command] : [], {
    PORT: '0',
    MARK: mark,
    ...environment,
  });
  const url = await program.url();
  return {
    program,
    url,
    endpoint: `${url.replace('http', 'ws')}/command`,
    /** How many there are beside the server. */
    processes: async () => (await countProcesses(mark)) - 1,
    anyLeft: () => countProcesses(mark),
  };
}

/** What the process says from now on until it is over, and how it ends. */
async function rest(socket: Connection): Promise<{ said: string; longest: number; end: string }> {
  const pieces: Buffer[] = [];
  try {
    for await (const message of socket) pieces.push(message as Buffer);
  } catch (error) {
    if (!(error instanceof ConnectionClosed)) throw error;
  }
  const { code, reason } = await socket.closed;
  const longest = Math.max(...pieces.map(({ length }) => length));
  return { said: String(Buffer.concat(pieces)), longest, end: `${code} ${reason}` };
}

afterEach(() => Program.endAll());

describe('the command example', () => {
  it('runs something harmless if nothing else is asked for', async () => {
    const socket = await dial((await serving()).endpoint);
    expect(await socket.receive()).toBe('cat -n');
    socket.send('grüß\n');
    expect(String(await socket.receive())).toBe('     1\tgrüß\n');
    socket.send('Gott\n');
    socket.send(END_OF_INPUT);
    expect(await rest(socket)).toMatchObject({ said: '     2\tGott\n', end: '1000 exit code 0' });
  });

  it('says the last line, of output and errors, before it closes with the exit code', async () => {
    const { endpoint } = await serving(['sh', '-c', 'seq 200000; echo oh >&2; exit 7']);
    const socket = await dial(endpoint);
    expect(await socket.receive()).toBe('sh -c seq 200000; echo oh >&2; exit 7');
    const { said, longest, end } = await rest(socket);
    const lines = said.replace('oh\n', '').split('\n');
    expect([said.includes('oh\n'), lines.length, lines.at(-2)]).toEqual([true, 200_001, '200000']);
    expect([longest, end]).toEqual([8 * 1024, '1000 exit code 7']);
  });

  it('waits for a client that does not read, and loses nothing', async () => {
    const { endpoint, processes } = await serving(['seq', '5000000']);
    const socket = await dial(endpoint);
    await socket.receive();
    socket.pause();
    await sleep(300); // in which it could say far more than a server wants to keep
    expect(await processes()).toBe(1);
    socket.resume();
    const { said, end } = await rest(socket);
    expect([said.slice(-16), end]).toEqual(['4999999\n5000000\n', '1000 exit code 0']);
  });

  it('hands on Ctrl-C, and says what ended the process', async () => {
    const { endpoint } = await serving(['sleep', '1000']);
    const socket = await dial(endpoint);
    await socket.receive();
    socket.send(INTERRUPT);
    expect((await rest(socket)).end).toBe('1000 ended by SIGINT');
  });

  it('says that a command cannot be started', async () => {
    const { endpoint, anyLeft } = await serving(['no-such-command']);
    expect((await rest(await dial(endpoint))).end).toBe('1011 it cannot be started: spawn no-such-command ENOENT');
    expect(await anyLeft()).toBe(1);
  });

  it('takes messages of 8 KiB, and no more', async () => {
    const { endpoint, anyLeft } = await serving();
    const socket = await dial(endpoint);
    await socket.receive();
    socket.send(`${'x'.repeat(8 * 1024 - 1)}\n`);
    expect(String(await socket.receive())).toMatch(/^ {5}1\tx+/);
    socket.send('x'.repeat(8 * 1024 + 1));
    expect((await rest(socket)).end).toBe('1009 ');
    await expect.poll(anyLeft).toBe(1);
  });

  describe('leaves nobody behind', () => {
    const deaf = 'trap "" INT; sleep 1000 & sh -c "sleep 1000; sleep 1" & echo ready; wait';

    it.each(['close', 'terminate'] as const)('when its client does %s: SIGINT first', async (how) => {
      const folder = await mkdtemp(join(tmpdir(), 'command-'));
      const file = join(folder, 'signal');
      const { endpoint, processes } = await serving([
        'sh',
        '-c',
        `trap 'echo INT > ${file}; exit' INT; echo ready; while :; do sleep 0.05; done`,
      ]);
      const socket = await dial(endpoint);
      await socket.receive();
      expect(String(await socket.receive())).toBe('ready\n');
      expect(await processes()).toBeGreaterThanOrEqual(1);
      socket[how]();
      await expect.poll(processes).toBe(0);
      expect(await readFile(file, 'utf8')).toBe('INT\n');
      await rm(folder, { recursive: true });
    });

    it('when its client has gone and it ignores SIGINT: SIGKILL after a second', async () => {
      const { endpoint, processes } = await serving(['sh', '-c', deaf]);
      const sockets = await Promise.all([dial(endpoint), dial(endpoint)]);
      for (const socket of sockets) {
        await socket.receive();
        expect(String(await socket.receive())).toBe('ready\n');
      }
      await expect.poll(processes).toBe(8);
      const gone = performance.now();
      for (const socket of sockets) socket.terminate();
      await expect.poll(processes, { timeout: 5_000 }).toBe(0);
      expect(performance.now() - gone).toBeGreaterThan(900);
    });

    it('when it ends by itself before those that it started', async () => {
      const { endpoint, anyLeft } = await serving(['sh', '-c', 'sleep 1000 & sleep 1000 >/dev/null 2>&1 & echo bye']);
      const socket = await dial(endpoint);
      await socket.receive();
      expect(await rest(socket)).toMatchObject({ said: 'bye\n', end: '1000 exit code 0' });
      expect(await anyLeft()).toBe(1);
    });

    it.each([
      [1, 0],
      [2, 1],
    ])('when the server is interrupted %d times, which makes its exit code %d', async (times, exitCode) => {
      const { endpoint, program, anyLeft } = await serving(['sh', '-c', deaf]);
      const socket = await dial(endpoint);
      await socket.receive();
      await socket.receive();
      program.signal('SIGINT');
      expect((await rest(socket)).end).toBe('1001 ');
      if (times === 2) program.signal('SIGINT');
      expect((await program.ended()).code).toBe(exitCode);
      await expect.poll(anyLeft).toBe(0);
    });
  });

  describe('lets in this machine alone', () => {
    const answer = async (url: string, headers: Record<string, string>) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/command`, { headers });
      socket.on('error', () => {});
      const [event] = await Promise.race([
        once(socket, 'open').then(() => [101]),
        once(socket, 'unexpected-response').then(([, response]) => [response.statusCode]),
      ]);
      socket.terminate();
      return event;
    };

    it('by its pages, and its names', async () => {
      const { url } = await serving();
      const { host, port } = new URL(url);
      expect(await answer(url, {})).toBe(101);
      expect(await answer(url, { Origin: `http://${host}` })).toBe(101);
      expect(await answer(url, { Host: `localhost:${port}`, Origin: `http://localhost:${port}` })).toBe(101);
      expect(await answer(url, { Origin: 'http://evil.example' })).toBe(403);
      // A name of somebody else's that leads here: page and server then have one host.
      expect(await answer(url, { Host: `evil.example:${port}`, Origin: `http://evil.example:${port}` })).toBe(403);
      expect(await answer(url, { Host: `evil.example:${port}` })).toBe(403);
    });

    it('by its address', async () => {
      const { url } = await serving();
      const socket = connect(Number(new URL(url).port), '127.0.0.2');
      expect((await once(socket, 'error'))[0].code).toBe('ECONNREFUSED');
    });
  });

  it('pings after 54 seconds of silence, and gives up after 60', async () => {
    // The server's clock runs a hundred times as fast.
    const hurry = `const now = performance.now.bind(performance), every = setInterval;
      performance.now = () => now() * 100;
      globalThis.setInterval = (f, time, ...rest) => every(f, time / 100, ...rest);`;
    const { endpoint, processes } = await serving([], {
      NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(hurry)}`,
    });
    const start = performance.now();
    const [lively, silent] = [new WebSocket(endpoint), new WebSocket(endpoint, { autoPong: false })];
    const closed = once(silent, 'close');
    await once(silent, 'ping');
    expect(performance.now() - start).toBeGreaterThan(530);
    expect((await closed)[0]).toBe(1006);
    await once(lively, 'ping');
    await once(lively, 'ping');
    await expect.poll(processes).toBe(1);
    lively.terminate();
  });

  it('runs a shell only by flag, and warns', async () => {
    const shell = (args: string[]) =>
      Program.run('examples/command/dist/server.js', args, { PORT: '0', SHELL: '/bin/sh' });
    const program = shell(['--shell']);
    const socket = await dial(`${(await program.url()).replace('http', 'ws')}/command`);
    expect(await socket.receive()).toBe('/bin/sh');
    socket.send('echo $((6 * 7)); exit 5\n');
    expect(await rest(socket)).toMatchObject({ said: '42\n', end: '1000 exit code 5' });
    expect((await program.signal('SIGINT').ended()).stderr).toBe(
      'Warning: whoever reaches this page can do all that you can do on this machine.\n',
    );

    expect(await shell(['--shell', 'cat']).ended()).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Give it --shell or a command, not both.\n',
    });
  });
});

describe.skipIf(noBrowser)('the page of the command example in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  const screen = ({ page }: Tab, text: string | RegExp) => page.locator('#screen').filter({ hasText: text }).waitFor();

  it('is a terminal', async () => {
    const { url } = await serving(['sh']);
    const tab = await Tab.open(browser, url);
    const { keyboard } = tab.page;
    await tab.status('sh is running.');
    await keyboard.type("printf 'one\\033[31m two\\033[0m\\n'");
    await keyboard.press('Enter');
    await screen(tab, 'one two');
    await keyboard.press('ArrowUp');
    await keyboard.press('Enter');
    await screen(tab, /one two.*one two/s);

    await keyboard.type('sleep 1000');
    await keyboard.press('Enter');
    await keyboard.press('Control+c');
    expect(await tab.status('over')).toBe('Closed The process is over: ended by SIGINT.');
    await keyboard.press('Enter'); // run again
    await tab.status('sh is running.');
    await keyboard.press('Control+d');
    expect(await tab.status('over')).toBe('Closed The process is over: exit code 0.');
    expect(tab.complaints).toEqual([]);
  });

  it('says that the connection was lost, and comes back by itself with a new process', async () => {
    const { url, program } = await serving();
    const tab = await Tab.open(browser, url);
    await tab.status('cat -n is running.');
    program.signal('SIGTERM');
    await tab.status('This page comes back by itself.');
    await program.ended();
    await serving([], { PORT: new URL(url).port });
    await screen(tab, '— process 2 —');
  });

  it('fits a phone', async () => {
    const { url } = await serving();
    const tab = await Tab.open(browser, url, { viewport: { width: 360, height: 640 } });
    await tab.status('cat -n is running.');
    await tab.page.getByLabel('A line for the process').fill('a-very-long-word'.repeat(20));
    await tab.page.keyboard.press('Enter');
    await screen(tab, /1\ta-very/);
    expect(await tab.overhang()).toBe(0);
  });
});
