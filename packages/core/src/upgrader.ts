import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Attachment, type Dispatch } from './attachment.js';
import type { Connection } from './connection.js';
import { DrawbridgeError } from './errors.js';
import { asksForWebSocket, checkHandshake, upgradeRequired } from './handshake.js';
import { notFound, PendingUpgrade } from './pending.js';
import { afterEarlierResponses } from './pipelining.js';
import { Refusal } from './refusal.js';
import { type Handler, Route, type RouteOptions } from './route.js';
import { type PathParams, type Query, Router, type RouterOptions } from './router.js';
import { compileSite, type SiteOf, type TrustProxy } from './site.js';

/** Where something unexpected happened. */
export interface ErrorContext {
  request?: IncomingMessage | undefined;
  socket?: Connection<unknown> | undefined;
}

export interface UpgraderOptions<Data = undefined, Request extends object = IncomingMessage>
  extends RouteOptions<Data, Request>,
    RouterOptions {
  /** How long a decision may take, in milliseconds, before the client gets 408; 0: for ever. Default 10 000. */
  handshakeTimeout?: number;
  /** Which proxies are believed (see `TrustProxy`). Default `false`: none. */
  trustProxy?: TrustProxy;
  /** `false` leaves a request to the server's other `upgrade` listeners before anything else is looked at. Default: all are ours. */
  shouldHandle?: (request: IncomingMessage) => boolean;
  /**
   * How long the server's other `upgrade` listeners have to take a request that is not ours, in milliseconds, before it
   * gets 404. Default 1 000.
   */
  unclaimedTimeout?: number;
  /** The one place where everything unexpected is told. Default: a line on `console.error`. */
  onError?: (error: unknown, context: ErrorContext) => void;
}

export interface CloseOptions {
  /** Close code for the open connections. Default 1001, "going away". */
  code?: number;
  /** Close reason, at most 123 bytes. Default: none. */
  reason?: string;
  /** After how many milliseconds those who did not answer are cut off. Default 10 000. */
  timeout?: number;
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
  /** @internal */
  readonly siteOf: SiteOf;
  readonly #options: UpgraderOptions<Data, Request>;
  readonly #handshakeTimeout: number;
  readonly #router: Router<Route<never, never>>;
  readonly #attachments = new Map<Server, Attachment>();
  readonly #connections = new Set<Connection<unknown>>();
  #closing: Promise<void> | undefined;

  /** Throws `INVALID_OPTION`. */
  constructor(options: UpgraderOptions<Data, Request> = {}) {
    this.#options = options;
    this.#handshakeTimeout = milliseconds('handshakeTimeout', options.handshakeTimeout ?? 10_000);
    milliseconds('unclaimedTimeout', options.unclaimedTimeout ?? 0);
    this.siteOf = compileSite(options.trustProxy ?? false);
    this.#router = new Router(options);
  }

  /** The open connections. */
  get connections(): ReadonlySet<Connection<unknown>> {
    return this.#connections;
  }

  /** Whether `close` was called: a server that says so to its load balancer gets no new clients. */
  get closing(): boolean {
    return this.#closing !== undefined;
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
    this.#router.add(path, this.compile(options, handler as Handler<never, never>));
    return this;
  }

  /**
   * Listens for the upgrades of a server (http, https, or an HTTP/2 one that allows HTTP/1), beside whoever else does.
   * `dispatch` is for adapters: it decides what is not one of the Upgrader's own routes. Throws `ALREADY_ATTACHED`.
   */
  attach(server: Server, dispatch?: Dispatch): this {
    if (this.#attachments.has(server)) {
      throw new DrawbridgeError(
        'ALREADY_ATTACHED',
        'This Upgrader is attached to this server already; attach it once.',
      );
    }
    this.#attachments.set(
      server,
      new Attachment(server, this.#gate, dispatch, this.#options.unclaimedTimeout ?? 1_000),
    );
    return this;
  }

  /** Stops listening on a server; its open connections, and everybody else's listeners, stay. */
  detach(server: Server): this {
    this.#attachments.get(server)?.detach();
    this.#attachments.delete(server);
    return this;
  }

  /** Takes an upgrade from a listener of your own: it is decided here, whatever it is. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    afterEarlierResponses(socket, () => this.#receive(request, socket, head, undefined));
  }

  /**
   * Refuses new upgrades with 503, closes the open connections, and resolves when they are gone; those who do not answer
   * are cut off at `timeout`. A second call gives the first one's promise.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#drain(options);
    return this.#closing;
  }

  /**
   * For adapters: a route of their own making, with the Upgrader's options filled in. Throws `INVALID_OPTION`.
   * @internal
   */
  compile<RouteData, RouteRequest extends object>(
    options: RouteOptions<RouteData, RouteRequest>,
    handler: Handler<RouteData, RouteRequest>,
  ): Route<RouteData, RouteRequest> {
    return new Route({ ...this.#options, ...options } as RouteOptions<RouteData, RouteRequest>, handler);
  }

  /** @internal */
  open<RouteData, RouteRequest extends object>(
    connection: Connection<RouteData>,
    request: RouteRequest,
    handler: Handler<RouteData, RouteRequest>,
  ): void {
    this.#connections.add(connection as Connection<unknown>);
    connection.once('close', () => this.#connections.delete(connection as Connection<unknown>));
    connection.on('error', () => {});
    void (async () => handler(connection, request))().catch((error: unknown) => {
      this.report(error, { request: request as unknown as IncomingMessage, socket: connection as Connection<unknown> });
      connection.close(1011);
    });
  }

  /** @internal */
  report(error: unknown, context: ErrorContext): void {
    const { onError = logError } = this.#options;
    try {
      onError(error, context);
    } catch (broken) {
      logError(broken);
      logError(error);
    }
  }

  #gate = {
    claims: (request: IncomingMessage): boolean => this.#router.find(request.url ?? '') !== undefined,
    shouldHandle: (request: IncomingMessage): boolean => this.#options.shouldHandle?.(request) ?? true,
    receive: (request: IncomingMessage, socket: Duplex, head: Buffer, attachment: Attachment): void =>
      this.#receive(request, socket, head, attachment),
    answerOrdinary: (request: IncomingMessage): Refusal =>
      this.#router.find(request.url ?? '') ? upgradeRequired() : notFound(),
  };

  #receive(request: IncomingMessage, socket: Duplex, head: Buffer, attachment: Attachment | undefined): void {
    const upgrade = new PendingUpgrade(this as never, request, socket, head, attachment);
    const refusal = this.#firstObjection(request);
    if (refusal) return upgrade.refuse(refusal);
    this.#decide(upgrade, attachment?.dispatch);
    if (!upgrade.decided) upgrade.guard(this.#handshakeTimeout);
  }

  #firstObjection(request: IncomingMessage): Refusal | undefined {
    if (this.closing) {
      return new Refusal(503, {
        code: 'CLOSING',
        headers: { 'Retry-After': '5' },
        body: 'This server is shutting down.',
      });
    }
    return asksForWebSocket(request) ? checkHandshake(request) : upgradeRequired();
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

  async #drain({ code = 1001, reason, timeout = 10_000 }: CloseOptions): Promise<void> {
    const open = [...this.#connections];
    const timer = setTimeout(() => open.forEach((connection) => void connection.terminate()), timeout);
    await Promise.all(
      open.map(
        (connection) =>
          new Promise<void>((resolve) => {
            connection.once('close', () => resolve());
            connection.close(code, reason);
          }),
      ),
    );
    clearTimeout(timer);
  }
}

function milliseconds(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new DrawbridgeError('INVALID_OPTION', `${name}: ${value} is no number of milliseconds; give 0 or more.`);
}

function logError(error: unknown): void {
  console.error('drawbridge:', error);
}
