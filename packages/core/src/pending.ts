import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Acceptor } from './acceptor.js';
import type { Attachment } from './attachment.js';
import type { Connection } from './connection.js';
import { upgradeRefused } from './diagnostics.js';
import { DrawbridgeError } from './errors.js';
import { responseLines, UpgradeHeaders } from './headers.js';
import { demandProgress } from './progress.js';
import { Refusal } from './refusal.js';
import type { Site } from './site.js';
import { UpgradeResponse } from './upgrade-response.js';
import type { Upgrader } from './upgrader.js';

/** How long a refused client has to close when the answer has left, in milliseconds, before its socket is destroyed. */
const LINGER = 1_000;

/** Registered, so that two copies of this package in one process know each other's requests. */
const kPending = Symbol.for('drawbridge.pending');

/** `null` on a request whose upgrade is over: it must not hold on to it, nor be taken for an ordinary one. */
type Marked<T> = T & { [kPending]?: PendingUpgrade | null | undefined };

type State = 'pending' | 'accepting' | 'accepted' | 'refused' | 'passed' | 'abandoned';

/**
 * One request between the `upgrade` event and exactly one of accept, refuse and pass. It owns the socket meanwhile: a
 * client that goes away, or a decision that takes too long, ends that socket and fires `signal`, and nothing else.
 */
export class PendingUpgrade {
  readonly upgrader: Upgrader<never, never>;
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /**
   * How a framework finishes its response as the 101, where that is more than `response.end()`: so that all it does at the
   * end of a response is done for this one too. What it answers instead of the 101 is the refusal.
   * @internal
   */
  finishResponse: (() => void) | undefined;
  readonly #head: Buffer;
  readonly #attachment: Attachment | undefined;
  #state: State = 'pending';
  /**
   * Why it is refused, whoever words the answer; the application's own reasons are its own.
   * @internal
   */
  refusalCode = 'APPLICATION';
  #site: Site | undefined;
  #address: string | undefined;
  #headers: UpgradeHeaders | undefined;
  #response: UpgradeResponse | undefined;
  #abort: AbortController | undefined;
  #goneBecause: Error | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(
    upgrader: Upgrader<never, never>,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    attachment: Attachment | undefined,
  ) {
    this.upgrader = upgrader;
    this.request = request;
    this.socket = socket;
    this.#head = head;
    this.#attachment = attachment;
    (request as Marked<IncomingMessage>)[kPending] = this;
    (socket as Marked<Duplex>)[kPending] = this;
  }

  /** The upgrade that this request waits for; `undefined` for an ordinary request, and once it was decided. */
  static of(request: IncomingMessage): PendingUpgrade | undefined {
    return (request as Marked<IncomingMessage>)[kPending] ?? undefined;
  }

  /**
   * Whether this request was an upgrade that has been accepted or refused, or whose client has gone: whoever comes late with
   * it has nothing to do any more, and must not serve it as an ordinary request.
   */
  static isOver(request: IncomingMessage): boolean {
    return (request as Marked<IncomingMessage>)[kPending] === null;
  }

  /** Whether it was accepted, refused or passed on, or the client has gone. */
  get decided(): boolean {
    return this.#state !== 'pending' || this.answering;
  }

  /**
   * Whether nothing more happens to it. Before that, though decided, its answer may still be on the way.
   * @internal
   */
  get settled(): boolean {
    return this.#state !== 'pending' && this.#state !== 'accepting';
  }

  /** Fires when the client goes away or the handshake timed out; its `reason` has the code `CLIENT_GONE` or `HANDSHAKE_TIMEOUT`. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#goneBecause) this.#abort.abort(this.#goneBecause);
    return this.#abort.signal;
  }

  /** Headers for the 101 response. */
  get headers(): UpgradeHeaders {
    this.#headers ??= new UpgradeHeaders();
    return this.#headers;
  }

  /** Where the request was addressed and by whom. */
  get site(): Site {
    this.#site ??= this.upgrader.siteOf(this.request);
    return this.#site;
  }

  /**
   * Under which it is counted: found out once, so that what was checked is what is counted, whatever a `trustProxy` of the
   * application's own, or of one that is mounted in it, says later.
   * @internal
   */
  get address(): string {
    this.#address ??= this.site.address;
    return this.#address;
  }

  /**
   * A real `ServerResponse` on this socket, for a framework to work with: what is sent through it is the refusal, whole;
   * what is only set on it, headers and cookies, goes onto the 101 if the upgrade is accepted.
   */
  get response(): ServerResponse {
    this.#response ??= this.#createResponse();
    return this.#response.response;
  }

  /**
   * Guards the socket while the decision takes longer than the tick it came in.
   * @param timeout in milliseconds; 0 waits for ever.
   * @internal
   */
  guard(timeout: number): void {
    this.socket.on('error', onError);
    this.socket.on('close', onClose);
    this.socket.on('end', onEnd);
    this.socket.on('readable', onReadable);
    if (timeout > 0) this.#timer = setTimeout(onTimeout, timeout, this);
  }

  /**
   * Answers 101 and hands the socket to `ws`. Gives the connection, as a promise where a framework's response has to be
   * finished first; `undefined` if the client has gone meanwhile. Throws `ALREADY_DECIDED`.
   * @internal
   */
  accept(acceptor: Acceptor, subprotocol: string | undefined): MaybePromise<Connection<unknown> | undefined> {
    if (this.#state === 'abandoned') return undefined;
    this.#mustBePending();
    if (this.#response) return this.#acceptBeside(this.#response, acceptor, subprotocol);
    return this.#handOver(acceptor, subprotocol, []);
  }

  /** Answers with a whole HTTP response and ends the connection. Throws `ALREADY_DECIDED`. */
  refuse(refusal: Refusal): void {
    if (this.#state === 'abandoned') return;
    this.#mustBePending();
    if (this.#response) {
      this.refusalCode = refusal.code;
      return refusal.sendThrough(this.#response.response);
    }
    this.#settle('refused');
    this.#answer(refusal);
  }

  /** Leaves the request to the server's other `upgrade` listeners; 404 if there are none. Throws `ALREADY_DECIDED`. */
  pass(): void {
    if (this.#state === 'abandoned') return;
    this.#mustBePending();
    if (!this.#attachment || this.#attachment.alone) return this.refuse(notFound());
    this.#response?.withdraw();
    this.#settle('passed');
    this.#attachment.leave(this.socket, () => this.#answer(notFound()));
  }

  /**
   * The client is gone, or its time is up: nobody needs a decision any more.
   * @internal
   */
  abandon(reason: DrawbridgeError, answer?: Refusal): void {
    this.#response?.withdraw();
    this.#settle('abandoned');
    this.#goneBecause = reason;
    if (answer) this.#answer(answer);
    else endQuietly(this.socket);
    this.#abort?.abort(reason);
  }

  /**
   * Whether the application's own response has begun: then it is the answer, and the framework's to finish.
   * @internal
   */
  get answering(): boolean {
    return !this.settled && this.#response?.answers === true;
  }

  /** @internal */
  abandonUnlessAnswering(reason: DrawbridgeError, answer?: Refusal): void {
    if (!this.answering) this.abandon(reason, answer);
  }

  /**
   * The application is sending its answer when the time is up: it may take as long as it needs, but a client that takes
   * nothing of it does not hold its place any longer.
   * @internal
   */
  expectProgress(): void {
    this.#timer = demandProgress(this.socket);
  }

  #mustBePending(): void {
    if (!this.decided) return;
    const how = this.answering ? 'answered by the application' : this.#state;
    throw new DrawbridgeError('ALREADY_DECIDED', `This upgrade was ${how} already; decide it once.`);
  }

  #settle(state: State): void {
    this.#state = state;
    clearTimeout(this.#timer);
    this.socket.off('error', onError);
    this.socket.off('close', onClose);
    this.socket.off('end', onEnd);
    this.socket.off('readable', onReadable);
    (this.request as Marked<IncomingMessage>)[kPending] = state === 'passed' ? undefined : null;
    (this.socket as Marked<Duplex>)[kPending] = undefined;
    this.upgrader.settled(this);
  }

  #answer(refusal: Refusal): void {
    if (upgradeRefused.heard)
      upgradeRefused.publish({ request: this.request, status: refusal.status, code: refusal.code });
    this.socket.end(refusal.serialize({ withBody: this.request.method !== 'HEAD' }));
    linger(this.socket);
  }

  #handOver(
    acceptor: Acceptor,
    subprotocol: string | undefined,
    responseHeaders: readonly string[],
  ): Connection<unknown> | undefined {
    this.#settle('accepted');
    const lines = this.#headers ? [...responseHeaders, ...this.#headers.lines()] : responseHeaders;
    return acceptor.accept(this.request, this.socket, this.#head, subprotocol, lines);
  }

  /**
   * Finishes the framework's response as a 101, so that everything which waits for its head or its end (sessions that
   * are saved, cookies, logs) does its work once; the bytes go nowhere, its headers go onto the 101 that `ws` writes. Where
   * that work fails, and the framework answers something else, that is sent, and is the refusal.
   */
  #acceptBeside(
    carried: UpgradeResponse,
    acceptor: Acceptor,
    subprotocol: string | undefined,
  ): MaybePromise<Connection<unknown> | undefined> {
    if (!this.finishResponse && carried.isUnwatched) {
      carried.response.statusCode = 101;
      return this.#handOverBeside(carried, acceptor, subprotocol);
    }
    this.#state = 'accepting';
    try {
      const finished = carried.finish(this.finishResponse ?? (() => carried.response.end()));
      const proceed = () => this.#handOverBeside(carried, acceptor, subprotocol);
      return finished ? finished.then(proceed) : proceed();
    } catch (error) {
      if (this.#state === 'accepting') this.#giveUp(new Refusal(500));
      throw error;
    }
  }

  #handOverBeside(
    carried: UpgradeResponse,
    acceptor: Acceptor,
    subprotocol: string | undefined,
  ): Connection<unknown> | undefined {
    if (this.settled) return undefined;
    if (carried.answers) return this.#endRefused(carried.response);
    carried.withdraw();
    return this.#handOver(acceptor, subprotocol, responseLines(carried.response));
  }

  /** Answers past a response that can no longer be sent. */
  #giveUp(refusal: Refusal): void {
    this.#response?.withdraw();
    this.#settle('refused');
    this.#answer(refusal);
  }

  #createResponse(): UpgradeResponse {
    const carried = new UpgradeResponse(this.request, this.socket);
    carried.response.on('finish', onFinish);
    return carried;
  }

  /**
   * The application's own response has been sent.
   * @internal
   */
  answered(response: ServerResponse): void {
    if (this.#state === 'pending') this.#endRefused(response);
  }

  #endRefused(response: ServerResponse): undefined {
    this.#settle('refused');
    if (upgradeRefused.heard) {
      upgradeRefused.publish({ request: this.request, status: response.statusCode, code: this.refusalCode });
    }
    this.#response?.withdraw();
    this.socket.end();
    linger(this.socket);
  }
}

type MaybePromise<T> = T | Promise<T>;

export function notFound(): Refusal {
  return new Refusal(404, { code: 'NO_ROUTE', body: 'There is no WebSocket here.' });
}

// The listeners of every guarded socket and every response: shared, for a server has many of them at a time.

function onError(this: Marked<Duplex>, cause: Error): void {
  this[kPending]?.abandon(gone(cause));
}

function onClose(this: Marked<Duplex>): void {
  this[kPending]?.abandon(gone());
}

function onFinish(this: ServerResponse): void {
  PendingUpgrade.of(this.req)?.answered(this);
}

/** Half-closed: no WebSocket can come of it, but an answer that is on its way may still be read. */
function onEnd(this: Marked<Duplex>): void {
  this[kPending]?.abandonUnlessAnswering(gone());
}

/** Lets the end of the stream be noticed without taking a byte from whoever comes next. */
function onReadable(this: Duplex): void {
  if (this.readableLength === 0) this.read(0);
}

function onTimeout(upgrade: PendingUpgrade): void {
  if (upgrade.answering) return upgrade.expectProgress();
  const reason = 'The handshake was not decided in time.';
  upgrade.abandonUnlessAnswering(
    new DrawbridgeError('HANDSHAKE_TIMEOUT', `${reason} Answer sooner, or raise handshakeTimeout.`),
    new Refusal(408, { code: 'HANDSHAKE_TIMEOUT', headers: { 'Retry-After': '5' }, body: reason }),
  );
}

function gone(cause?: Error): DrawbridgeError {
  return new DrawbridgeError(
    'CLIENT_GONE',
    'The client went away before the handshake was done; stop working for it.',
    { cause },
  );
}

/** The socket may have more to report (a reset after its end); it must not be the process that hears it. */
function endQuietly(socket: Duplex): void {
  socket.on('error', ignore);
  socket.destroy();
}

/**
 * Lets the client read the answer: what it still sends is thrown away, for unread bytes would turn the close into a reset
 * that can overtake the answer (RFC 9112 section 9.6).
 */
function linger(socket: Duplex): void {
  socket.on('error', ignore);
  socket.resume();
  let timer = demandProgress(socket);
  socket.once('finish', () => {
    clearTimeout(timer);
    timer = setTimeout(() => socket.destroy(), LINGER);
  });
  socket.once('close', () => clearTimeout(timer));
}

/** The listener without which a socket's 'error' would end the process. */
export function ignore(): void {}
