import { type IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, Writable } from 'node:stream';

// Node's server does for its own responses what is done here for one on a socket that it has let go of.

/** Puts a real response on the socket of an upgrade, for a framework to work with. */
export function placeResponse(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  // Set, not implied: a response that has a header of its own lets those be read which `writeHead` is given.
  response.setHeader('Connection', 'close');
  response.assignSocket(socket as never);
  relayDrain(socket, response);
  return response;
}

/** From now on a 101 is kept back, which is only made for its headers; any other response still gets through. */
export function sift(response: ServerResponse, socket: Duplex): void {
  const sieve = new Sieve(response, socket);
  detach(response);
  response.assignSocket(sieve as never);
  relayDrain(sieve, response);
}

/** Takes the response off its socket, whether it was sent or not, and tells whoever waits for its 'close'. */
export function withdraw(response: ServerResponse): void {
  detach(response);
  if (!response.closed) response.assignSocket(new Writable().destroy() as never);
}

/** What undoes `relayDrain`: at once, for what is left on a socket looks as if somebody had taken it. */
const relays = new WeakMap<ServerResponse, () => void>();

/** What pipes into the response waits for its 'drain'. */
function relayDrain(socket: Writable, response: ServerResponse): void {
  const relay = (): void => void response.emit('drain');
  socket.on('drain', relay);
  relays.set(response, () => socket.off('drain', relay));
}

function detach(response: ServerResponse): void {
  relays.get(response)?.();
  if (response.socket) response.detachSocket(response.socket);
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
