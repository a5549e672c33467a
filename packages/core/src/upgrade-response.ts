import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Duplex, Writable } from 'node:stream';
import { drained } from './response-drain.js';

/** Node notes here which response is being written on a socket. */
type Carrier = Writable & { _httpMessage?: ServerResponse | null };

/** What Node notes of a response that is being written. */
type Outgoing = ServerResponse & { _header?: string; _headerSent?: boolean; _hasBody?: boolean; _closed?: boolean };

/**
 * A real response on the socket of an upgrade, for a framework to work with. Node's server has let go of that socket, so
 * what it does for its own responses is done here: 'drain' for what pipes into it, 'close' when it is over.
 */
export class UpgradeResponse {
  readonly response: ServerResponse;
  #carrier: Carrier;
  #sieve: Sieve | undefined;

  constructor(request: IncomingMessage, socket: Duplex) {
    this.response = new ServerResponse(request);
    this.response.shouldKeepAlive = false;
    this.#carrier = this.#carryOn(socket);
  }

  /** Whether something else than a 101 is being sent, or has been. What was sent is what counts: a status may be set too late. */
  get answers(): boolean {
    if (!this.response.headersSent) return false;
    return this.#sieve ? this.#sieve.keepsBack === false : this.response.statusCode !== 101;
  }

  /** Whether nobody waits for its head or its end; then there is nothing to be finished. */
  get isUnwatched(): boolean {
    const { response } = this;
    return (
      !this.#hasOwnMethods &&
      !this.#isAwaited &&
      response.listenerCount('prefinish') === 0 &&
      response.listenerCount('close') === 0
    );
  }

  /**
   * Has it ended as a 101, which is kept back: it is only made for its headers. Any other response still gets through.
   * Gives a promise where there is something to wait for.
   */
  finish(end: () => void): Promise<void> | undefined {
    const { response } = this;
    response.statusCode = 101;
    this.#keepBack101();
    end();
    if (response.writableEnded && !this.answers && !this.#isAwaited) return undefined;
    return new Promise((resolve) => response.once('finish', resolve));
  }

  /** Takes the response off its socket, whether it was sent or not, and tells whoever waits for its 'close'. */
  withdraw(): void {
    const { response } = this;
    this.#release();
    if (response.closed) return;
    if (response.listenerCount('close') > 0) response.assignSocket(new Writable().destroy() as never);
    else closeWithoutSocket(response);
  }

  /** Whether somebody listens for its end, beside the one whose response it is. */
  get #isAwaited(): boolean {
    return this.response.listenerCount('finish') > 1 || this.#sieve !== undefined;
  }

  /** Middleware that waits for a head or an end puts its own method in the place of Node's. */
  get #hasOwnMethods(): boolean {
    const { response } = this;
    const { end, write, writeHead } = ServerResponse.prototype;
    return response.end !== end || response.write !== write || response.writeHead !== writeHead;
  }

  #keepBack101(): void {
    if (!this.#hasOwnMethods) {
      this.response.writeHead = writeNoHead;
      this.response.end = endWithoutSending as ServerResponse['end'];
      return;
    }
    // A response that has a header of its own lets those be read which `writeHead` is given.
    this.response.setHeader('Connection', 'close');
    this.#release();
    this.#sieve = new Sieve(this.#carrier);
    this.#carrier = this.#carryOn(this.#sieve);
  }

  #carryOn(carrier: Carrier): Carrier {
    this.response.assignSocket(carrier as never);
    return carrier.on('drain', onDrain);
  }

  #release(): void {
    this.#carrier.off('drain', onDrain);
    if (this.response.socket === this.#carrier) this.response.detachSocket(this.#carrier as never);
  }
}

/** As by `destroy()`, which on Node 20 would wait for a socket to destroy. */
function closeWithoutSocket(response: Outgoing): void {
  response.destroyed = true;
  process.nextTick(emitClose, response);
}

function emitClose(response: Outgoing): void {
  response._closed = true;
  response.emit('close');
}

/** A listener that all share. */
function onDrain(this: Carrier): void {
  if (this._httpMessage) drained(this._httpMessage);
}

// Where only the framework is at work, its head and its end need no stream to carry them: the headers are all that is wanted.

function writeNoHead(this: ServerResponse, status: number, ...rest: unknown[]): ServerResponse {
  if (status !== 101) {
    letThrough(this);
    return (this.writeHead as (status: number, ...rest: unknown[]) => ServerResponse)(status, ...rest);
  }
  const headers = (rest.at(-1) ?? {}) as OutgoingHttpHeaders;
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) this.setHeader(name, value);
  }
  return this;
}

function endWithoutSending(this: Outgoing, ...rest: unknown[]): ServerResponse {
  letThrough(this);
  if (this.statusCode !== 101) return (this.end as (...rest: unknown[]) => ServerResponse)(...rest);
  // By these Node knows that a head is out, which nothing can be added to, and that no body follows.
  this._header = 'HTTP/1.1 101 Switching Protocols\r\n\r\n';
  this._headerSent = true;
  this._hasBody = false;
  return this.end();
}

/** The last that was set goes first: so V8 takes back a step of the object's hidden class, and does not give it up. */
function letThrough(response: Partial<ServerResponse>): void {
  delete response.end;
  delete response.writeHead;
}

/** Keeps back a 101 behind methods that are not Node's own. */
class Sieve extends Writable {
  readonly #socket: Writable;
  /** Known from the first bytes on. */
  keepsBack: boolean | undefined;

  constructor(socket: Writable) {
    super({ decodeStrings: false });
    this.#socket = socket;
  }

  override _write(chunk: string | Buffer, encoding: BufferEncoding, done: () => void): void {
    this.keepsBack ??= (typeof chunk === 'string' ? chunk : chunk.toString('latin1')).startsWith('HTTP/1.1 101');
    if (this.keepsBack) return done();
    this.#socket.write(chunk, encoding, () => done());
  }
}
