import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const repository = join(import.meta.dirname, '../..');
const running = new Set<Program>();

/** An example as a person runs it: a process of its own, built beforehand. */
export class Program {
  readonly #child: ChildProcess;
  readonly #stdout: Promise<string>;
  readonly #stderr: Promise<string>;
  readonly #exit: Promise<unknown[]>;

  private constructor(script: string, args: string[], environment: NodeJS.ProcessEnv, input: string) {
    const child = spawn(process.execPath, [join(repository, script), ...args], {
      env: { ...process.env, PORT: undefined, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.on('error', () => {}); // not everyone reads
    child.stdin.end(input);
    this.#child = child;
    this.#stdout = text(child.stdout);
    this.#stderr = text(child.stderr);
    this.#exit = once(child, 'exit');
    running.add(this);
  }

  /** Does not wait for anything. What is typed comes to its standard input, which then ends. */
  static run(script: string, args: string[] = [], environment: NodeJS.ProcessEnv = {}, typed = ''): Program {
    return new Program(script, args, environment, typed);
  }

  /** Ends those that still run. */
  static async endAll(): Promise<void> {
    await Promise.all(Array.from(running, (program) => program.signal('SIGKILL').ended()));
  }

  /** The first that it prints, or its exit code if it does not. */
  async line(): Promise<string> {
    const { stdout } = this.#child;
    const [line] = await Promise.race([once(stdout as NonNullable<typeof stdout>, 'data'), this.#exit]);
    return String(line);
  }

  /** The first address that it prints. Rejects if it ends, or says something else. */
  async url(): Promise<string> {
    const line = await this.line();
    const url = /http:\/\/\S+/.exec(line)?.[0];
    if (!url) throw new Error(`It should have printed its address: ${line} ${await this.#stderr}`);
    return url;
  }

  signal(signal: NodeJS.Signals): this {
    this.#child.kill(signal);
    return this;
  }

  /** How it ended, and all that it said. */
  async ended(): Promise<{ code: unknown; stdout: string; stderr: string }> {
    const [code] = await this.#exit;
    running.delete(this);
    return { code, stdout: await this.#stdout, stderr: await this.#stderr };
  }
}
