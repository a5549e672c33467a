import { type IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type Duplex, Writable } from 'node:stream';

/**
 * A real response on the socket of an upgrade, for a framework to work with. Node's server has let go of that socket, so
 * what it does for its own responses is done here: 'drain' for what pipes into it, 'close' when it is over.
 */
export class UpgradeResponse {
  readonly response: ServerResponse;
  #carrier: Writable;
  #sieve: Sieve | undefined;

  constructor(request: IncomingMessage, socket: Duplex) {
    this.response = new ServerResponse(request);
    // Set, not implied: a response that has a header of its own lets those be read which `writeHead` is given.
    this.response.setHeader('Connection', 'close');
    this.#carrier = this.#carryOn(socket);
  }

  /** Whether something else than a 101 is being sent, or has been. What was sent is what counts: a status may be set too late. */
  get answers(): boolean {
    if (!this.response.headersSent) return false;
    return this.#sieve ? this.#sieve.keepsBack === false : this.response.statusCode !== 101;
  }

  /** Whether nobody waits for its head or its end; then there is nothing to be finished. One listener for it is our own. */
  get isUnwatched(): boolean {
    const { response } = this;
    return (
      !this.#hasOwnMethods &&
      response.listenerCount('finish') === 1 &&
      response.listenerCount('prefinish') === 0 &&
      response.listenerCount('close') === 0
    );
  }

  /** From now on a 101 is kept back, which is only made for its headers; any other response still gets through. */
  keepBack101(socket: Duplex): void {
    if (!this.#hasOwnMethods) return keepBack101(this.response);
    this.#release();
    this.#sieve = new Sieve(socket);
    this.#carrier = this.#carryOn(this.#sieve);
  }

  /** Middleware that waits for a head or an end puts its own method in the place of Node's. */
  get #hasOwnMethods(): boolean {
    const { response } = this;
    const { end, write, writeHead } = ServerResponse.prototype;
    return response.end !== end || response.write !== write || response.writeHead !== writeHead;
  }

  /** Takes the response off its socket, whether it was sent or not, and tells whoever waits for its 'close'. */
  withdraw(): void {
    this.#release();
    if (this.response.closed) return;
    if (this.response.listenerCount('close') > 0) this.response.assignSocket(new Writable().destroy() as never);
    else this.response.destroy();
  }

  #carryOn(carrier: Writable): Writable {
    this.response.assignSocket(carrier as never);
    return carrier.on('drain', this.#onDrain);
  }

  #release(): void {
    this.#carrier.off('drain', this.#onDrain);
    if (this.response.socket === this.#carrier) this.response.detachSocket(this.#carrier as never);
  }

  #onDrain = (): void => void this.response.emit('drain');
}

/** Where only the framework is at work, its head and its end need no stream to carry them: the headers are all that is wanted. */
function keepBack101(response: ServerResponse): void {
  const letThrough = (): void => {
    delete (response as Partial<ServerResponse>).writeHead;
    delete (response as Partial<ServerResponse>).end;
  };
  response.writeHead = (status: number, ...rest: unknown[]) => {
    if (status !== 101) {
      letThrough();
      return (response.writeHead as (status: number, ...rest: unknown[]) => ServerResponse)(status, ...rest);
    }
    const headers = (rest.at(-1) ?? {}) as OutgoingHttpHeaders;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    return response;
  };
  response.end = (...rest: unknown[]) => {
    if (response.statusCode !== 101) {
      letThrough();
      return (response.end as (...rest: unknown[]) => ServerResponse)(...rest);
    }
    response.finished = true;
    Object.defineProperty(response, 'headersSent', { value: true });
    process.nextTick(() => response.emit('finish'));
    return response;
  };
}

/** Keeps back a 101 behind methods that are not Node's own. */
class Sieve extends Writable {
  readonly #socket: Duplex;
  /** Known from the first bytes on. */
  keepsBack: boolean | undefined;

  constructor(socket: Duplex) {
    super({ decodeStrings: false });
    this.#socket = socket;
  }

  override _write(chunk: string | Buffer, encoding: BufferEncoding, done: () => void): void {
    this.keepsBack ??= (typeof chunk === 'string' ? chunk : chunk.toString('latin1')).startsWith('HTTP/1.1 101');
    if (this.keepsBack) return done();
    this.#socket.write(chunk, encoding, () => done());
  }
}
