import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { serveAsOrdinaryRequest } from './foreign-protocol.js';
import { asksForWebSocket, hasAllHeaders, tooManyHeaders } from './handshake.js';
import { ignore, notFound, type PendingUpgrade } from './pending.js';
import { afterEarlierResponses } from './pipelining.js';
import { Refusal } from './refusal.js';

/** Lets a framework decide an upgrade: its router and middleware end in accept, refuse or pass. */
export type Dispatch = (upgrade: PendingUpgrade) => void;

/** What an attachment asks of its Upgrader. */
interface Gate {
  /** Whether the target is one of the Upgrader's own routes. */
  claims(request: IncomingMessage): boolean;
  /** Or the refusal, where the application's own opinion failed. */
  shouldHandle(request: IncomingMessage): boolean | Refusal;
  /** Answers what is not this Upgrader's, where there is nobody to leave it to. */
  decline(request: IncomingMessage, socket: Duplex, head: Buffer, refusal: Refusal): void;
  receive(request: IncomingMessage, socket: Duplex, head: Buffer, attachment: Attachment): void;
  answerOrdinary(request: IncomingMessage): Refusal;
}

/** How many of a server's `request` listeners are attachments', there only for want of an application's. */
const stopgaps = new WeakMap<Server, number>();

/** One server that an Upgrader listens on, beside whoever else listens there. */
export class Attachment {
  readonly dispatch: Dispatch | undefined;
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #unclaimedTimeout: number;

  constructor(server: Server, gate: Gate, dispatch: Dispatch | undefined, unclaimedTimeout: number) {
    this.dispatch = dispatch;
    this.#server = server;
    this.#gate = gate;
    this.#unclaimedTimeout = unclaimedTimeout;
    // First in line, whenever it was attached: so the others' marks on a socket can be told from what was there before.
    server.prependListener('upgrade', this.#onUpgrade);
    if (dispatch) return;
    server.on('request', this.#onRequest);
    stopgaps.set(server, (stopgaps.get(server) ?? 0) + 1);
  }

  detach(): void {
    this.#server.off('upgrade', this.#onUpgrade);
    if (this.dispatch) return;
    this.#server.off('request', this.#onRequest);
    stopgaps.set(this.#server, (stopgaps.get(this.#server) ?? 1) - 1);
  }

  /**
   * Leaves a socket to the other listeners of the server, and does `otherwise` if after the time for it nobody has taken
   * it; at once where there is nobody else.
   */
  leave(socket: Duplex, otherwise: () => void): void {
    if (this.alone) return otherwise();
    socket.on('error', ignore);
    const before = new Footprint(socket);
    const timer = setTimeout(() => before.isLast() && otherwise(), this.#unclaimedTimeout);
    timer.unref();
  }

  /** Whether nobody else listens for this server's upgrades. */
  get alone(): boolean {
    return this.#server.listenerCount('upgrade') <= 1;
  }

  #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    afterEarlierResponses(socket, () => this.#route(request, socket, head));
  };

  #route(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!hasAllHeaders(request, this.#server.maxHeadersCount)) {
      return this.#gate.decline(request, socket, head, tooManyHeaders());
    }
    if (!asksForWebSocket(request)) {
      return this.leave(socket, () => serveAsOrdinaryRequest(this.#server, request, socket, head));
    }
    const isOurs = this.#gate.shouldHandle(request);
    if (isOurs instanceof Refusal) return this.#gate.decline(request, socket, head, isOurs);
    if (!isOurs) return this.#leaveForGood(request, socket, head);
    if (this.alone || this.#gate.claims(request)) return this.#gate.receive(request, socket, head, this);
    const receive = (): void => this.#gate.receive(request, socket, head, this);
    if (!this.dispatch) return this.leave(socket, receive);
    this.#yieldTurn(socket, receive);
  }

  /** What the application declared to be others' they may take any time, as long as the client is there. */
  #leaveForGood(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.alone) return this.#gate.decline(request, socket, head, notFound());
    socket.on('error', ignore);
    const onEnd = (): void => void (before.isLast() && socket.destroy());
    socket.on('end', onEnd);
    const before = new Footprint(socket);
    // Only starts the reading, or the end would not be seen: what comes stays with the socket for whoever takes it.
    socket.read(0);
  }

  /** Whether a framework has a route can only be told by running it, so the others, who know at once, go first. */
  #yieldTurn(socket: Duplex, proceed: () => void): void {
    socket.on('error', ignore);
    const before = new Footprint(socket);
    setImmediate(() => {
      if (!before.isLast()) return;
      socket.off('error', ignore);
      proceed();
    });
  }

  /** A server that has nobody for ordinary requests would leave them without an answer. */
  #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    if (this.#server.listenerCount('request') > (stopgaps.get(this.#server) ?? 1) || response.headersSent) return;
    this.#gate.answerOrdinary(request).sendThrough(response);
  };
}

/** The marks that tell whether somebody has taken a socket or answered on it since. */
class Footprint {
  readonly #socket: Duplex & { bytesWritten?: number };
  readonly #listeners: number;
  readonly #bytesWritten: number | undefined;

  constructor(socket: Duplex & { bytesWritten?: number }) {
    this.#socket = socket;
    this.#listeners = countListeners(socket);
    this.#bytesWritten = socket.bytesWritten;
  }

  isLast(): boolean {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded || socket.readableFlowing === true) return false;
    return socket.bytesWritten === this.#bytesWritten && countListeners(socket) === this.#listeners;
  }
}

/** Not those of 'error': a neighbour may guard against it what it does not take (Vite does). */
function countListeners(socket: Duplex): number {
  const names = socket.eventNames().filter((name) => name !== 'error');
  return names.reduce((sum, name) => sum + socket.listenerCount(name), 0);
}
