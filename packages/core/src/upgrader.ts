import type { IncomingMessage, Server } from 'node:http';
import type { Http2SecureServer } from 'node:http2';
import type { Duplex } from 'node:stream';
import { Admission, type AdmissionOptions } from './admission.js';
import { Attachment, type Dispatch } from './attachment.js';
import { hideBearerToken } from './bearer-token.js';
import { broadcast } from './broadcast.js';
import { type CloseInfo, type CloseOptions, closeEvenly, closeOptions, closeReason } from './closing.js';
import type { Connection } from './connection.js';
import {
  connectionClosed,
  type DiagnosticsMessages,
  upgradeAccepted,
  upgradeRefused,
  upgradeStart,
} from './diagnostics.js';
import { DrawbridgeError } from './errors.js';
import { asksForWebSocket, checkHandshake, hasAllHeaders, tooManyHeaders, upgradeRequired } from './handshake.js';
import { Heartbeat } from './heartbeat.js';
import type { Owner } from './life.js';
import { notFound, PendingUpgrade } from './pending.js';
import { afterEarlierResponses } from './pipelining.js';
import { PreparedMessage } from './prepared-message.js';
import { Refusal } from './refusal.js';
import { type ErrorContext, report } from './reporting.js';
import { type Handler, Route, type RouteOptions } from './route.js';
import { type PathParams, type Query, Router, type RouterOptions } from './router.js';
import { compileSite, type SiteOf, type TrustProxy } from './site.js';
import { LONGEST_TIME } from './timer-limit.js';

export interface UpgraderOptions<Data = undefined, Request extends object = IncomingMessage>
  extends RouteOptions<Data, Request>,
    RouterOptions,
    AdmissionOptions {
  /** How long a decision may take, in milliseconds, before the client gets 408; 0: for ever. Default 10 000. */
  handshakeTimeout?: number;
  /** Which proxies are believed (see `TrustProxy`). Default `false`: none. */
  trustProxy?: TrustProxy;
  /**
   * `false` leaves a WebSocket handshake to the server's other `upgrade` listeners for good, however long they take; where
   * there are none it gets 404. Default: what has a route is ours, and the rest if nobody takes it in `unclaimedTimeout`.
   */
  shouldHandle?: (request: IncomingMessage) => boolean;
  /**
   * How long the server's other `upgrade` listeners have to take a request that is not ours, in milliseconds, before it
   * gets 404. Default 1 000.
   */
  unclaimedTimeout?: number;
  /** The one place where everything unexpected is told. Default: a line on `console.error`. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

export interface BroadcastOptions {
  /** One connection that does not get it, such as the one it came from. */
  except?: Connection<unknown, unknown> | undefined;
  /** Whether it is sent as binary. Default: whether the data is no string. */
  binary?: boolean;
}

/** A request as a handler of `Upgrader.route` sees it. */
export type UpgradeRequest<Path extends string = string> = IncomingMessage & {
  /** The parameters of the route's path, decoded. */
  params: PathParams<Path>;
  /** The query, decoded. */
  query: Query;
};

/**
 * Adds WebSockets to a Node server: checks each upgrade, refuses it with a whole HTTP response or hands it to `ws` and
 * calls the route's handler. Safe by default: only pages of the same origin may connect.
 *
 * @example
 * const upgrader = new Upgrader({ maxPayload: 64 * 1024 });
 * upgrader.route('/echo', (socket) => { socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })); });
 * upgrader.attach(createServer().listen(8080));
 */
export class Upgrader<Data = undefined, Request extends object = IncomingMessage> {
  /** @internal Where a request came from; an adapter sets it to what its framework says. */
  siteOf: SiteOf;
  readonly #options: UpgraderOptions<Data, Request>;
  readonly #handshakeTimeout: number;
  readonly #router: Router<Route<never, never>>;
  readonly #attachments = new Map<Server | Http2SecureServer, Attachment>();
  readonly #connections = new Set<Connection<unknown>>();
  /** Those that were accepted only to be told why not, until they have gone. */
  readonly #turnedAway = new Set<Connection<unknown>>();
  readonly #pending = new Set<PendingUpgrade>();
  /** Whose address is counted; only where a limit asks for it. */
  readonly #addresses = new Map<PendingUpgrade | Connection<unknown>, string>();
  readonly #admission: Admission;
  readonly #heartbeat = new Heartbeat(this.#connections);
  #runningHandlers = 0;
  /** The time to close is over, and handlers are left to themselves. */
  #isCutOff = false;
  #whenQuiet: (() => void) | undefined;
  #closing: Promise<void> | undefined;
  #farewell: Required<CloseOptions> | undefined;

  /** Throws `INVALID_OPTION`. */
  constructor(options: UpgraderOptions<Data, Request> = {}) {
    this.#options = options;
    this.#handshakeTimeout = milliseconds('handshakeTimeout', options.handshakeTimeout ?? 10_000);
    milliseconds('unclaimedTimeout', options.unclaimedTimeout ?? 0);
    this.siteOf = compileSite(options.trustProxy ?? false);
    this.#admission = new Admission(options);
    this.#router = new Router(options);
    // What is wrong with the defaults of its routes should be known before there is one.
    this.compile({}, () => {});
  }

  /** The open connections. */
  get connections(): ReadonlySet<Connection<unknown>> {
    return this.#connections;
  }

  /** Whether `close` was called: a server that says so to its load balancer gets no new clients. */
  get closing(): boolean {
    return this.#farewell !== undefined;
  }

  /**
   * Serves a path. `/rooms/:room` has a parameter, `/files/*` a wildcard; static parts come before parameters, parameters
   * before wildcards, whatever the order they were added in. Throws `ROUTE_EXISTS`, `INVALID_OPTION`.
   */
  route<Path extends string>(path: Path, handler: Handler<Data, UpgradeRequest<Path>>): this;
  route<Path extends string, RouteData = Data>(
    path: Path,
    options: RouteOptions<RouteData, UpgradeRequest<Path>>,
    handler: Handler<RouteData, UpgradeRequest<Path>>,
  ): this;
  route(path: string, ...rest: [object] | [object, object]): this {
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest;
    this.#router.add(path, this.compile(options, handler as Handler<never, never>, path));
    return this;
  }

  /**
   * Listens for the upgrades of a server (http, https, or an HTTP/2 one that allows HTTP/1), beside whoever else does.
   * `dispatch` is for adapters: it decides what is not one of the Upgrader's own routes. Throws `ALREADY_ATTACHED`.
   */
  attach(server: Server | Http2SecureServer, dispatch?: Dispatch): this {
    if (this.#attachments.has(server)) {
      throw new DrawbridgeError(
        'ALREADY_ATTACHED',
        'This Upgrader is attached to this server already; attach it once.',
      );
    }
    this.#attachments.set(
      server,
      // For HTTP/1, all that is asked of it here, an HTTP/2 server is as any other.
      new Attachment(server as Server, this.#gate, dispatch, this.#options.unclaimedTimeout ?? 1_000),
    );
    return this;
  }

  /** Stops listening on a server; its open connections, and everybody else's listeners, stay. */
  detach(server: Server | Http2SecureServer): this {
    this.#attachments.get(server)?.detach();
    this.#attachments.delete(server);
    return this;
  }

  /** Takes an upgrade from a listener of your own: it is decided here, whatever it is. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    afterEarlierResponses(socket, () => this.#receive(request, socket, head, undefined));
  }

  /**
   * Sends a message to many, once to each: encoded and framed once, and what is sent to the same set in one tick is one write
   * for each of them. Slow readers are treated by their route's policy. Gives the number of receivers.
   *
   * @param to the connections, or which of all that are open
   * @example
   * upgrader.broadcast(room, 'hello', { except: socket });
   * upgrader.broadcast((socket) => socket.path === '/news', JSON.stringify(item));
   */
  broadcast(
    to: Iterable<Connection<unknown, unknown>> | ((connection: Connection<unknown>) => boolean),
    data: string | ArrayBuffer | ArrayBufferView | PreparedMessage,
    { except, binary }: BroadcastOptions = {},
  ): number {
    const message =
      data instanceof PreparedMessage ? data : new PreparedMessage(data, binary === undefined ? {} : { binary });
    if (typeof to !== 'function') return broadcast(to, message, except);
    const receivers = new Set<Connection<unknown>>();
    for (const connection of this.#connections) {
      if (connection !== except && to(connection)) receivers.add(connection);
    }
    return broadcast(receivers, message, except);
  }

  /**
   * Refuses new upgrades with 503, closes the open connections, and resolves when they are gone and their handlers have
   * ended. At `timeout` those who did not answer are cut off and handlers are left to themselves. A second call gives the
   * first one's promise. Rejects with `INVALID_OPTION`, and nothing is closed.
   */
  close(options: CloseOptions = {}): Promise<void> {
    if (this.#closing) return this.#closing;
    try {
      this.#farewell = closeOptions(options);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#closing = this.#drain(this.#farewell);
    return this.#closing;
  }

  /**
   * For adapters: a route of their own making, with the Upgrader's options filled in. Throws `INVALID_OPTION`.
   * @internal
   */
  compile<RouteData, RouteRequest extends object>(
    options: RouteOptions<RouteData, RouteRequest>,
    handler: Handler<RouteData, RouteRequest>,
    path?: string,
  ): Route<RouteData, RouteRequest> {
    const merged = { ...this.#options, ...options } as RouteOptions<RouteData, RouteRequest>;
    const route = new Route(merged, handler, path, this.#owner);
    this.#heartbeat.keep(route.shortestTime);
    return route;
  }

  /** @internal */
  open<RouteData, RouteRequest extends object>(
    connection: Connection<RouteData>,
    upgrade: PendingUpgrade,
    request: RouteRequest,
    handler: Handler<RouteData, RouteRequest>,
  ): void {
    const socket = connection as Connection<unknown>;
    this.#connections.add(socket);
    this.#heartbeat.start();
    if (this.#admission.countsAddresses) this.#enter(socket, upgrade.address);
    if (upgradeAccepted.heard) upgradeAccepted.publish({ request: upgrade.request, socket });
    if (this.#farewell) connection.close(this.#farewell.code, this.#farewell.reason);
    else this.#run(connection, upgrade.request, request, handler);
  }

  /** @internal A refusal that a browser's page can see: accepted, and closed at once with a code that says why. */
  turnAway(connection: Connection<unknown>, upgrade: PendingUpgrade, refusal: Refusal): void {
    this.#turnedAway.add(connection);
    if (this.#admission.countsAddresses) this.#enter(connection, upgrade.address);
    if (upgradeRefused.heard) {
      upgradeRefused.publish({ request: upgrade.request, status: refusal.status, code: refusal.code });
    }
    connection.close(4000 + refusal.status, closeReason(refusal.message));
  }

  /** @internal An upgrade was decided, or nobody waits for it any more. */
  settled(upgrade: PendingUpgrade): void {
    if (!this.#pending.delete(upgrade)) return;
    this.#leave(upgrade);
    // If it was accepted, its connection is there by then.
    if (this.closing) setImmediate(() => this.#checkQuiet());
  }

  /** @internal */
  report(error: unknown, context: ErrorContext): void {
    report(this.#options.onError, error, context);
  }

  #gate = {
    claims: (request: IncomingMessage): boolean => this.#router.find(request.url ?? '') !== undefined,
    shouldHandle: (request: IncomingMessage): boolean | Refusal => {
      try {
        return this.#options.shouldHandle?.(request) ?? true;
      } catch (error) {
        this.report(error, { request });
        return policyFailed(error);
      }
    },
    receive: (request: IncomingMessage, socket: Duplex, head: Buffer, attachment: Attachment): void =>
      this.#receive(request, socket, head, attachment),
    decline: (request: IncomingMessage, socket: Duplex, head: Buffer, refusal: Refusal): void =>
      new PendingUpgrade(this as never, request, socket, head, undefined).refuse(refusal),
    answerOrdinary: (request: IncomingMessage): Refusal =>
      this.#router.find(request.url ?? '') ? upgradeRequired() : notFound(),
  };

  readonly #owner: Owner = {
    onError: (error, socket, request = socket.request) => this.report(error, { request, socket }),
    onClose: (socket, info) => {
      this.#leave(socket);
      if (!this.#turnedAway.delete(socket)) {
        this.#connections.delete(socket);
        if (connectionClosed.heard) connectionClosed.publish(obituary(socket, info));
      }
      this.#checkQuiet();
    },
  };

  #receive(request: IncomingMessage, socket: Duplex, head: Buffer, attachment: Attachment | undefined): void {
    hideBearerToken(request);
    if (upgradeStart.heard) upgradeStart.publish({ request });
    const upgrade = new PendingUpgrade(this as never, request, socket, head, attachment);
    const refusal = this.#firstObjectionOrFailure(upgrade);
    if (refusal) return upgrade.refuse(refusal);
    this.#decide(upgrade, attachment?.dispatch);
    if (upgrade.settled) return;
    this.#pending.add(upgrade);
    if (this.#admission.countsAddresses) this.#enter(upgrade, upgrade.address);
    upgrade.guard(this.#handshakeTimeout);
  }

  /** A `trustProxy` of the application's own may throw. */
  #firstObjectionOrFailure(upgrade: PendingUpgrade): Refusal | undefined {
    try {
      return this.#firstObjection(upgrade);
    } catch (error) {
      this.report(error, { request: upgrade.request });
      return policyFailed(error);
    }
  }

  #firstObjection(upgrade: PendingUpgrade): Refusal | undefined {
    if (this.closing) return closing();
    const { request } = upgrade;
    if (!hasAllHeaders(request)) return tooManyHeaders();
    const objection = asksForWebSocket(request) ? checkHandshake(request) : upgradeRequired();
    if (objection) return objection;
    const address = this.#admission.countsAddresses ? upgrade.address : undefined;
    return this.#admission.objection(this.#connections.size + this.#turnedAway.size, this.#pending.size, address);
  }

  #decide(upgrade: PendingUpgrade, dispatch: Dispatch | undefined): void {
    const found = this.#router.find(upgrade.request.url ?? '');
    if (!found) return dispatch ? dispatch(upgrade) : upgrade.pass();
    const request = upgrade.request as UpgradeRequest;
    request.params = found.params;
    request.query = found.searchParams;
    found.value
      .admit(upgrade, request as never)
      .catch((refusal: Refusal) => upgrade.decided || upgrade.refuse(refusal));
  }

  #run<RouteData, RouteRequest extends object>(
    connection: Connection<RouteData>,
    raw: IncomingMessage,
    request: RouteRequest,
    handler: Handler<RouteData, RouteRequest>,
  ): void {
    // One of no parameters may find the request all the same, as `(...given)` does.
    if (handler.length !== 1) connection.remember(raw);
    try {
      const running = handler(connection, request);
      if (typeof running?.then !== 'function') return;
      this.#runningHandlers++;
      running.then(
        () => this.#handlerEnded(),
        (error: unknown) => {
          connection.fail(error);
          this.#handlerEnded();
        },
      );
    } catch (error) {
      connection.fail(error, raw);
    }
  }

  #handlerEnded(): void {
    this.#runningHandlers--;
    this.#checkQuiet();
  }

  #checkQuiet(): void {
    const left = this.#connections.size + this.#turnedAway.size + this.#pending.size;
    if (left === 0 && (this.#runningHandlers === 0 || this.#isCutOff)) this.#whenQuiet?.();
  }

  #enter(who: PendingUpgrade | Connection<unknown>, address: string): void {
    this.#addresses.set(who, address);
    this.#admission.enter(address);
  }

  #leave(who: PendingUpgrade | Connection<unknown>): void {
    const address = this.#addresses.get(who);
    if (address === undefined) return;
    this.#addresses.delete(who);
    this.#admission.leave(address);
  }

  async #drain({ code, reason, timeout, spread }: Required<CloseOptions>): Promise<void> {
    for (const upgrade of this.#pending) if (!upgrade.decided) upgrade.refuse(closing());
    const quiet = new Promise<void>((resolve) => {
      this.#whenQuiet = resolve;
    });
    this.#checkQuiet();
    const stop = closeEvenly([...this.#connections], spread, (connection) => connection.close(code, reason));
    const cutOff = setTimeout(() => {
      this.#isCutOff = true;
      for (const upgrade of this.#pending) upgrade.abandon(tooLate());
      for (const connection of [...this.#connections, ...this.#turnedAway]) connection.terminate();
      this.#checkQuiet();
    }, timeout);
    await quiet;
    clearTimeout(cutOff);
    stop();
  }
}

function closing(): Refusal {
  return new Refusal(503, { code: 'CLOSING', headers: { 'Retry-After': '5' }, body: 'This server is shutting down.' });
}

function tooLate(): DrawbridgeError {
  return new DrawbridgeError('HANDSHAKE_TIMEOUT', 'The server shut down before the handshake was decided.');
}

function obituary(socket: Connection<unknown>, info: CloseInfo): DiagnosticsMessages['drawbridge:connection:closed'] {
  const { duration, messagesIn, messagesOut, traffic } = socket;
  return { ...info, socket, duration, messagesIn, messagesOut, ...traffic };
}

function policyFailed(cause: unknown): Refusal {
  return new Refusal(500, { code: 'POLICY_FAILED', cause });
}

function milliseconds(name: string, value: number): number {
  if (value >= 0 && value <= LONGEST_TIME) return value;
  throw new DrawbridgeError(
    'INVALID_OPTION',
    `${name}: ${value} is no number of milliseconds; give 0 or more, and 24 days at the most.`,
  );
}
