import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'vitest';

/** What a program says of its memory, in bytes, after a garbage collection where that was asked for. */
export interface Memory {
  rss: number;
  heapUsed: number;
  external: number;
  arrayBuffers: number;
}

/** A program of this folder in a process of its own, which listens on a port and answers questions. */
export class Child {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown[]>;
  readonly #stderr: Promise<string>;

  private constructor(child: ChildProcess, port: number, stderr: Promise<string>) {
    this.#process = child;
    this.port = port;
    this.#exit = once(child, 'exit');
    this.#stderr = stderr;
  }

  /** Resolves when it listens. `onFinished` is the test's own, which may run beside others. */
  static async start(
    program: string,
    args: readonly string[],
    onFinished: TestContext['onTestFinished'],
  ): Promise<Child> {
    const child = fork(join(import.meta.dirname, 'programs', program), args, {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    onFinished(() => void child.kill('SIGKILL'));
    const stderr = text(child.stderr as NonNullable<typeof child.stderr>);
    const [{ port }] = await Promise.race([
      once(child, 'message') as Promise<[{ port: number }]>,
      once(child, 'exit').then(async () => {
        throw new Error(`${program} ended before it listened: ${await stderr}`);
      }),
    ]);
    return new Child(child, port, stderr);
  }

  get authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What the program answers to a question. */
  async ask<Answer>(question: string): Promise<Answer> {
    const answered = once(this.#process, 'message');
    this.#process.send(question);
    const [answer] = await Promise.race([
      answered,
      this.#exit.then(async () => {
        throw new Error(`It ended instead of answering "${question}": ${await this.#stderr}`);
      }),
    ]);
    return answer as Answer;
  }

  /** By how many bytes its resident set has grown at the most since the last time it was asked. */
  async peakGrowth(): Promise<number> {
    return this.ask<number>('peakGrowth');
  }

  memory(): Promise<Memory> {
    return this.ask<Memory>('memory');
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Lets it go its way to the end, and tells how it ended and what it said. */
  async ended(): Promise<{ code: unknown; stderr: string }> {
    const [code] = await this.#exit;
    return { code, stderr: await this.#stderr };
  }

  /** Tells it that nobody asks it anything any more. */
  disconnect(): void {
    this.#process.disconnect();
  }
}
