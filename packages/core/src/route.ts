import type { IncomingMessage } from 'node:http';
import { Acceptor } from './acceptor.js';
import type { Connection } from './connection.js';
import { DrawbridgeError } from './errors.js';
import type { UpgradeHeaders } from './headers.js';
import { compileLife, type LifeOptions, type Owner, oneOf, shortestTime } from './life.js';
import { type CheckOrigin, sameOrigin } from './origin.js';
import type { PendingUpgrade } from './pending.js';
import { Refusal } from './refusal.js';
import type { Site } from './site.js';
import { checkSubprotocols, negotiate, offeredSubprotocols, type Subprotocols } from './subprotocol.js';

/** What `beforeUpgrade` may use besides the request. */
export interface UpgradeContext {
  /** Headers for the 101 response, such as `Set-Cookie`. */
  readonly headers: UpgradeHeaders;
  /** Fires when the client goes away or the handshake timed out: hand it to whatever you await. */
  readonly signal: AbortSignal;
  /** Where the request was addressed and by whom, proxies considered. */
  readonly site: Site;
}

/** Options of one route; the same on the Upgrader are the defaults of all its routes. */
export interface RouteOptions<Data = undefined, Request extends object = IncomingMessage> extends LifeOptions {
  /** Which pages may connect. Default `sameOrigin()`. */
  // Not inferred from here: a policy for any request whatever must not make the other options' request an `object`.
  checkOrigin?: CheckOrigin<NoInfer<Request>>;
  /** Which subprotocol to speak. Default: none. */
  subprotocols?: Subprotocols<Request>;
  /**
   * The last word before accept. What it returns is `socket.data`; a `Refusal` that it throws refuses; anything else that it
   * throws refuses with 500 and is reported.
   */
  beforeUpgrade?: (request: Request, context: UpgradeContext) => Data | Promise<Data>;
  /**
   * How a refusal by this route is told: `http`, by its status, of which a browser shows a page nothing but 1006; or `close`:
   * the upgrade is accepted and closed at once with 4000 + status, before any handler runs. Default `http`.
   */
  refusals?: 'http' | 'close';
}

/** Runs when the connection is open. What it throws or rejects with closes the connection with 1011 and is reported. */
export type Handler<Data = undefined, Request extends object = IncomingMessage> = (
  socket: Connection<Data>,
  request: Request,
) => void | Promise<void>;

/** A handler with its options, the Upgrader's filled in, compiled once: each request only runs it. */
export class Route<Data = unknown, Request extends object = IncomingMessage> {
  readonly handler: Handler<Data, Request>;
  readonly #checkOrigin: CheckOrigin<Request>;
  readonly #subprotocols: Subprotocols<Request>;
  readonly #beforeUpgrade: RouteOptions<Data, Request>['beforeUpgrade'];
  readonly #refusals: 'http' | 'close';
  readonly #acceptor: Acceptor;
  /** The shortest time that its connections want to be looked after in, in milliseconds. */
  readonly shortestTime: number;

  /** Throws `INVALID_OPTION`. */
  constructor(
    options: RouteOptions<Data, Request>,
    handler: Handler<Data, Request>,
    path: string | undefined,
    owner: Owner,
  ) {
    const { checkOrigin = sameOrigin(), subprotocols = [], beforeUpgrade, refusals = 'http' } = options;
    checkSubprotocols(subprotocols);
    if (typeof handler !== 'function') {
      throw new DrawbridgeError('INVALID_OPTION', 'A route needs a handler: a function of (socket, request).');
    }
    this.handler = handler;
    this.#checkOrigin = checkOrigin;
    this.#subprotocols = subprotocols;
    this.#beforeUpgrade = beforeUpgrade;
    this.#refusals = oneOf('refusals', refusals, ['http', 'close']);
    const compiled = compileLife(options, path, owner);
    this.shortestTime = shortestTime(compiled.life);
    this.#acceptor = new Acceptor(compiled);
  }

  /**
   * The whole way: extensions, origin, subprotocol, `beforeUpgrade`, accept, handler. Does nothing more where the client
   * went away, or the time was up, meanwhile. Rejects with the `Refusal`; for a policy that failed it is a 500 with its
   * error as the `cause`. Where no policy waits for anything, the handler has been called before this returns its promise.
   */
  async admit(upgrade: PendingUpgrade, request: Request): Promise<void> {
    const malformed = this.#acceptor.check(upgrade.request);
    if (malformed) {
      // Not even by a close: no connection can come of such a handshake.
      upgrade.refusalCode = malformed.code;
      throw malformed;
    }
    try {
      await this.#admit(upgrade, request);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, { code: 'POLICY_FAILED', cause: error });
      if (refusal !== error) upgrade.upgrader.report(error, { request: upgrade.request });
      upgrade.refusalCode = refusal.code;
      if (this.#refusals === 'http' || upgrade.decided) throw refusal;
      // A browser that offered some takes it for a failure if none is chosen.
      const connection = await upgrade.accept(this.#acceptor, offeredSubprotocols(upgrade.request)[0]);
      if (connection) upgrade.upgrader.turnAway(connection, upgrade, refusal);
    }
  }

  async #admit(upgrade: PendingUpgrade, request: Request): Promise<void> {
    const verdict = this.#checkOrigin(upgrade.request.headers.origin, request, upgrade.site);
    if (!(isThenable(verdict) ? await verdict : verdict)) {
      throw new Refusal(403, { code: 'ORIGIN_REFUSED', body: 'This origin may not connect here.' });
    }
    if (upgrade.decided) return;
    const preferred = this.#preferred(offeredSubprotocols(upgrade.request), request);
    const subprotocol = isThenable(preferred) ? await preferred : preferred;
    if (upgrade.decided) return;
    const result = this.#beforeUpgrade?.(request, upgrade) as Data | Promise<Data>;
    const data = isThenable(result) ? await result : result;
    if (upgrade.decided) return;
    const accepted = upgrade.accept(this.#acceptor, subprotocol);
    const connection = (isThenable(accepted) ? await accepted : accepted) as Connection<Data> | undefined;
    if (!connection) return;
    connection.data = data;
    upgrade.upgrader.open(connection, upgrade, request, this.handler);
  }

  #preferred(offered: readonly string[], request: Request): string | undefined | Promise<string | undefined> {
    if (offered.length === 0) return undefined;
    if (typeof this.#subprotocols === 'function') return negotiate(this.#subprotocols, offered, request);
    return this.#subprotocols.find((one) => offered.includes(one));
  }
}

function isThenable<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function';
}
