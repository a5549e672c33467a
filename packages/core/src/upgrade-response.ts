import { type IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, Writable } from 'node:stream';

/**
 * A real response on the socket of an upgrade, for a framework to work with. Node's server has let go of that socket, so
 * what it does for its own responses is done here: 'drain' for what pipes into it, 'close' when it is over.
 */
export class UpgradeResponse {
  readonly response: ServerResponse;
  #carrier: Writable;

  constructor(request: IncomingMessage, socket: Duplex) {
    this.response = new ServerResponse(request);
    // Set, not implied: a response that has a header of its own lets those be read which `writeHead` is given.
    this.response.setHeader('Connection', 'close');
    this.#carrier = this.#carryOn(socket);
  }

  /** From now on a 101 is kept back, which is only made for its headers; any other response still gets through. */
  sift(socket: Duplex): void {
    this.#release();
    this.#carrier = this.#carryOn(new Sieve(this.response, socket));
  }

  /** Takes the response off its socket, whether it was sent or not, and tells whoever waits for its 'close'. */
  withdraw(): void {
    this.#release();
    if (!this.response.closed) this.response.assignSocket(new Writable().destroy() as never);
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

class Sieve extends Writable {
  readonly #response: ServerResponse;
  readonly #socket: Duplex;

  constructor(response: ServerResponse, socket: Duplex) {
    super({ decodeStrings: false });
    this.#response = response;
    this.#socket = socket;
  }

  override _write(chunk: string | Buffer, encoding: BufferEncoding, done: () => void): void {
    if (this.#response.statusCode === 101) return done();
    this.#socket.write(chunk, encoding, () => done());
  }
}
