import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Command } from './programs.js';

/** What a foreign client says to an order, or what has come when it is asked for the next event. */
export interface Report {
  event: 'open' | 'refused' | 'failed' | 'done' | 'message' | 'pong' | 'close' | 'listening' | 'nothing';
  subprotocol?: string;
  compressed?: boolean;
  status?: number;
  body?: string;
  kind?: 'text' | 'binary';
  /** base64 */
  data?: string;
  code?: number;
  reason?: string;
  port?: string;
  error?: string;
}

export interface DialOrder {
  origin?: string;
  subprotocols?: string[];
  compress?: boolean;
  /** Messages are sent in fragments of this many bytes. */
  fragmentSize?: number;
}

/** A foreign program that talks in lines of JSON. */
export class Peer {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor([program, ...args]: Command, ...more: string[]) {
    this.#process = spawn(program, [...args, ...more], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    });
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk;
    });
    const lines: Interface = createInterface({ input: this.#process.stdout as NodeJS.ReadableStream });
    this.#lines = lines[Symbol.asyncIterator]();
  }

  /** What it says next. */
  async report(): Promise<Report> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`The foreign program has ended: ${this.#errors}`);
    return JSON.parse(value) as Report;
  }

  dial(url: string, order: DialOrder = {}): Promise<Report> {
    return this.#tell({ do: 'dial', url, ...order });
  }

  /** The next message, pong or close. */
  next(): Promise<Report> {
    return this.#tell({ do: 'next' });
  }

  send(message: string | Buffer): Promise<Report> {
    const kind = typeof message === 'string' ? 'text' : 'binary';
    return this.#tell({ do: 'send', kind, data: Buffer.from(message).toString('base64') });
  }

  ping(data: string): Promise<Report> {
    return this.#tell({ do: 'ping', data: Buffer.from(data).toString('base64') });
  }

  close(code: number, reason: string): Promise<Report> {
    return this.#tell({ do: 'close', code, reason });
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
  }

  #tell(order: object): Promise<Report> {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
    return this.report();
  }
}

/** The message of a report, as our own connections give it: text is a string, binary a Buffer. */
export function messageOf({ kind, data = '' }: Report): string | Buffer {
  const bytes = Buffer.from(data, 'base64');
  return kind === 'text' ? bytes.toString() : bytes;
}

/** Whether two messages are one, without a word about where a megabyte differs. */
export function same(one: string | Buffer, other: string | Buffer): boolean {
  return typeof one === typeof other && Buffer.from(one as string).equals(Buffer.from(other as string));
}

/** What is sent to and fro in every echo. */
export const messages: [name: string, message: string | Buffer][] = [
  ['nothing', ''],
  ['a text', 'Zugbrücke 🏰'],
  ['bytes', Buffer.from([0, 127, 128, 255])],
  ['64 KiB of text', 'drawbrü'.repeat(8192)],
  ['64 KiB', Buffer.from(Array.from({ length: 65536 }, (_, index) => (index * index) & 255))],
  ['1 MiB', Buffer.from(Array.from({ length: 1024 * 1024 }, (_, index) => (index * index * 7) & 255))],
];
