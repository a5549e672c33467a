import { execFile, execFileSync } from 'node:child_process';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';

const run = promisify(execFile);

/** How a foreign program is started: the command and the first of its arguments. */
export type Command = readonly [program: string, ...args: string[]];

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Debian's libraries for Go, without modules, without the network and without a compiler for C. */
export const goEnvironment = {
  ...process.env,
  GO111MODULE: 'off',
  GOPATH: '/usr/share/gocode',
  GOFLAGS: '',
  CGO_ENABLED: '0',
};

/** The peer that speaks by gorilla/websocket, compiled for this run. */
export async function gorilla(): Promise<Command | undefined> {
  if (!(await present('go', 'golang-go', '/usr/share/gocode/src/github.com/gorilla/websocket'))) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'drawbridge-go-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const binary = join(folder, 'peer');
  beforeAll(() => run('go', ['build', '-o', binary, '.'], { cwd: at('go'), env: goEnvironment }).then(() => {}));
  return [binary];
}

/** The peer that speaks by Python's websockets. */
export async function python(): Promise<Command | undefined> {
  const interpreter = '/usr/bin/python3';
  if (!(await present(interpreter, 'python3-websockets', '/usr/lib/python3/dist-packages/websockets')))
    return undefined;
  return [interpreter, at('python/peer.py')];
}

/** The peer that speaks by the WebSocket that Node has had since 22; on an older Node, another one from npm. */
export async function nodeItself(): Promise<Command> {
  const own = Number(process.versions.node.split('.')[0]) >= 22;
  const node = own ? process.execPath : await fromNpm();
  return [node, '--no-warnings', at('node/peer.mjs')];
}

async function fromNpm(): Promise<string> {
  const { stdout } = await run('npx', ['-y', '-p', 'node@22', '-c', 'command -v node']);
  return stdout.trim();
}

/** Whether a program is installed. Without it a person's tests are skipped with a line that says so; in CI they fail. */
export async function present(program: string, debianPackage: string, needs?: string): Promise<boolean> {
  try {
    execFileSync('sh', ['-c', 'command -v "$0"', program]);
    if (needs) await access(needs);
    return true;
  } catch (cause) {
    const missing = `${needs ?? program} is missing (Debian's ${debianPackage})`;
    if (process.env.CI) throw new Error(missing, { cause });
    console.warn(`Skipped: ${missing}.`);
    return false;
  }
}
