import { EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Site } from './hosts/index.js';

type Address = Pick<Site, 'port' | 'secure'>;

/** One HTTP response as it came over the wire: every header field of its own, in order. */
export interface RawResponse {
  status: number;
  fields: readonly (readonly [name: string, value: string])[];
  body: Buffer;
  /** The values of a header, one for each field. */
  all(name: string): string[];
  /** The only value of a header, `undefined` without one. Throws if there are several. */
  header(name: string): string | undefined;
}

export interface Frame {
  opcode: number;
  payload: Buffer;
}

const patience = 10_000;

/** A client that hides nothing: it sends bytes and sees bytes, and how the server ended the connection. */
export class Wire {
  #received = Buffer.alloc(0);
  #ending: 'fin' | 'reset' | undefined;
  #tcp: Socket;
  #socket: Socket;
  #news = new EventEmitter();

  private constructor(tcp: Socket, socket: Socket) {
    this.#tcp = tcp;
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#news.emit('news');
    });
    socket.once('end', () => this.#end('fin'));
    socket.once('error', () => this.#end('reset'));
    socket.once('close', () => this.#end('reset'));
    tcp.on('error', () => {});
  }

  /** With `keepOpen` the client does not close when the server does. */
  static async open({ port, secure }: Address, { keepOpen = false } = {}): Promise<Wire> {
    const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: keepOpen });
    tcp.setNoDelay();
    await once(tcp, 'connect');
    if (!secure) return new Wire(tcp, tcp);
    const socket = connectTls({ socket: tcp, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new Wire(tcp, socket);
  }

  /** What has come and has not been read. */
  get unread(): Buffer {
    return this.#received;
  }

  /** Everything of one call leaves in one packet, as far as it fits. */
  send(...parts: (string | Buffer)[]): void {
    this.#socket.write(
      Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))),
    );
  }

  /** Stops reading, so that what the server sends piles up in its socket. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** FIN: this side says nothing more, and still listens. */
  halfClose(): void {
    this.#socket.end();
  }

  /** RST: the client is gone at once. */
  reset(): void {
    this.#tcp.resetAndDestroy();
    this.#socket.destroy();
  }

  /** How the server ended the connection. */
  async ending(): Promise<'fin' | 'reset'> {
    return this.#until(() => this.#ending, 'the end of the connection');
  }

  /** The next response on this connection, with its whole body. */
  async response({ head = false } = {}): Promise<RawResponse> {
    const { response, length } = await this.#until(
      () => parseResponse(this.#received, this.#ending !== undefined, head),
      'a whole HTTP response',
    );
    this.#received = this.#received.subarray(length);
    return response;
  }

  /** The last response on this connection: a whole one that announces the end, then FIN and not a byte between. */
  async lastResponse(options?: { head?: boolean }): Promise<RawResponse> {
    const response = await this.response(options);
    const ending = await this.ending();
    if (ending !== 'fin') throw new Error(`The server ended the connection by ${ending} after ${response.status}.`);
    if (this.#received.length > 0) throw new Error(`${this.#received.length} bytes came after the ${response.status}.`);
    if (!/\bclose\b/i.test(response.header('connection') ?? ''))
      throw new Error('The response lacks "Connection: close".');
    return response;
  }

  /** The next frame that the server sent. */
  async frame(): Promise<Frame> {
    const { frame, length } = await this.#until(() => parseFrame(this.#received), 'a frame');
    this.#received = this.#received.subarray(length);
    return frame;
  }

  /** The next message that the server sent, as text. */
  async text(): Promise<string> {
    return (await this.frame()).payload.toString();
  }

  #end(ending: 'fin' | 'reset'): void {
    this.#ending ??= ending;
    this.#news.emit('news');
  }

  async #until<Found>(probe: () => Found | undefined, what: string): Promise<Found> {
    const deadline = AbortSignal.timeout(patience);
    for (;;) {
      const found = probe();
      if (found !== undefined) return found;
      if (this.#ending) throw new Error(`${what} did not come before ${this.#ending}; unread: ${this.#excerpt()}`);
      try {
        await once(this.#news, 'news', { signal: deadline });
      } catch {
        throw new Error(`${what} did not come in ${patience} ms; unread: ${this.#excerpt()}`);
      }
    }
  }

  #excerpt(): string {
    return JSON.stringify(this.#received.toString('latin1', 0, 200));
  }
}

export interface HandshakeChanges {
  path?: string;
  method?: string;
  version?: string;
  /** Each replaces the field of that name: a list makes it several fields, `null` takes it away. */
  headers?: Record<string, string | readonly string[] | null>;
}

/** The bytes of a handshake that conforms to RFC 6455, but for the changes. The key is the RFC's own. */
export function handshake(site: { authority: string }, changes: HandshakeChanges = {}): string {
  const { path = '/echo', method = 'GET', version = '1.1', headers = {} } = changes;
  const fields: Record<string, string | readonly string[] | null> = {
    Host: site.authority,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': rfcKey,
    'Sec-WebSocket-Version': '13',
    ...headers,
  };
  return requestHead(`${method} ${path} HTTP/${version}`, fields);
}

/** RFC 6455 section 1.3. */
export const rfcKey = 'dGhlIHNhbXBsZSBub25jZQ==';
export const rfcAccept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

export function requestHead(start: string, fields: Record<string, string | readonly string[] | null>): string {
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [value].flat().map((one) => `${name}: ${one}`),
  );
  return `${[start, ...lines].join('\r\n')}\r\n\r\n`;
}

/** Opens a connection and sends a handshake; what the server says to it is the caller's to read. */
export async function knock(site: Address & { authority: string }, changes?: HandshakeChanges): Promise<Wire> {
  const wire = await Wire.open(site);
  wire.send(handshake(site, changes));
  return wire;
}

/** A client's frame with a whole text message (RFC 6455 section 5.2), masked with zeros. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81]), maskedLength(payload.length), Buffer.alloc(4), payload]);
}

function maskedLength(length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | length]);
  const bytes = Buffer.alloc(length < 65536 ? 3 : 9);
  bytes[0] = 0x80 | (length < 65536 ? 126 : 127);
  bytes.writeUIntBE(length, bytes.length === 3 ? 1 : 3, bytes.length === 3 ? 2 : 6);
  return bytes;
}

function parseFrame(bytes: Buffer): { frame: Frame; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes.readUInt8(1);
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return undefined;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : bytes.readUIntBE(4, 6);
  if (bytes.length < start + size) return undefined;
  return {
    frame: { opcode: bytes.readUInt8(0) & 15, payload: bytes.subarray(start, start + size) },
    length: start + size,
  };
}

function parseResponse(
  bytes: Buffer,
  ended: boolean,
  head: boolean,
): { response: RawResponse; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1]);
  if (Number.isNaN(status)) throw new Error(`This is no status line: ${JSON.stringify(start)}`);
  const fields = lines.map(splitField);
  const all = (name: string) =>
    fields.filter(([one]) => one.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  const header = (name: string) => {
    const values = all(name);
    if (values.length > 1) throw new Error(`${name} stands ${values.length} times in the response.`);
    return values[0];
  };
  const rest = bytes.subarray(end + 4);
  const bodiless = head || status < 200 || status === 204 || status === 304;
  const found = bodiless ? { body: Buffer.alloc(0), length: 0 } : parseBody(rest, header, ended);
  return found && { response: { status, fields, body: found.body, all, header }, length: end + 4 + found.length };
}

function splitField(line: string): [string, string] {
  const colon = line.indexOf(':');
  if (colon < 1) throw new Error(`This is no header: ${JSON.stringify(line)}`);
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
}

function parseBody(
  bytes: Buffer,
  header: (name: string) => string | undefined,
  ended: boolean,
): { body: Buffer; length: number } | undefined {
  if (header('transfer-encoding') === 'chunked') return parseChunks(bytes);
  const declared = header('content-length');
  if (declared === undefined) return ended ? { body: bytes, length: bytes.length } : undefined;
  const length = Number(declared);
  return bytes.length < length ? undefined : { body: bytes.subarray(0, length), length };
}

function parseChunks(bytes: Buffer): { body: Buffer; length: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (bytes.length < next) return undefined;
    if (size === 0) return { body: Buffer.concat(chunks), length: next };
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = next;
  }
}
