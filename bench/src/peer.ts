import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Line } from './line-protocol.js';

/** How long to wait for an answer, in milliseconds. */
const PATIENCE = 60_000;

/** Does `work` with a server and the generator that is started for it, and ends both. */
export async function withGenerator<Result>(
  server: Peer,
  startGenerator: (port: number) => Peer,
  work: (generator: Peer) => Promise<Result>,
): Promise<Result> {
  let generator: Peer | undefined;
  try {
    generator = startGenerator((await server.greeting()).port as number);
    return await work(generator);
  } finally {
    await Promise.all([server.end(), generator?.end()]);
  }
}

/** A process of the bench, on a core of its own where the machine can give it one. */
export class Peer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;

  constructor(command: string[], { core, env = {} }: { core: number | undefined; env?: NodeJS.ProcessEnv }) {
    const [program, ...args] = core === undefined ? command : ['taskset', '-c', String(core), ...command];
    this.#name = command.join(' ');
    this.#child = spawn(program as string, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The first line, which a server says by itself. */
  async greeting(): Promise<Line> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#name} ended without an answer.`);
    return JSON.parse(value) as Line;
  }

  async ask(question: Line): Promise<Line> {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    const answer = await Promise.race([this.greeting(), this.#tooLong(question)]);
    if (answer.error) throw new Error(`${this.#name}: ${answer.error}`);
    return answer;
  }

  /** A server that has died leaves its clients waiting; nothing here takes minutes. */
  #tooLong({ ask }: Line): Promise<never> {
    return new Promise((_resolve, reject) => {
      const late = (): void => reject(new Error(`${this.#name} has not answered ${ask} within ${PATIENCE / 1000} s.`));
      setTimeout(late, PATIENCE).unref();
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
