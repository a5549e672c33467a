import type { IncomingMessage } from 'node:http';
import type { PerMessageDeflateOptions } from 'ws';
import { Acceptor } from './acceptor.js';
import type { Connection } from './connection.js';
import { DrawbridgeError } from './errors.js';
import type { UpgradeHeaders } from './headers.js';
import { type CheckOrigin, sameOrigin } from './origin.js';
import type { PendingUpgrade } from './pending.js';
import { Refusal } from './refusal.js';
import { checkSubprotocols, negotiate, offeredSubprotocols, type Subprotocols } from './subprotocol.js';

/** What `beforeUpgrade` may use besides the request. */
export interface UpgradeContext {
  /** Headers for the 101 response, such as `Set-Cookie`. */
  readonly headers: UpgradeHeaders;
  /** Fires when the client goes away or the handshake timed out: hand it to whatever you await. */
  readonly signal: AbortSignal;
}

/** Options of one route; the same on the Upgrader are the defaults of all its routes. */
export interface RouteOptions<Data = undefined, Request extends object = IncomingMessage> {
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
  /** The longest message that is received, in bytes (after decompression); a longer one closes with 1009. Default 1 MiB. */
  maxPayload?: number;
  /** Compression (RFC 7692), as in `ws`. Default `false`: it costs memory for each connection. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;
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
  readonly #acceptor: Acceptor;

  /** Throws `INVALID_OPTION`. */
  constructor(options: RouteOptions<Data, Request>, handler: Handler<Data, Request>) {
    const { checkOrigin = sameOrigin(), subprotocols = [], beforeUpgrade, maxPayload = 1024 * 1024 } = options;
    checkSubprotocols(subprotocols);
    if (!Number.isSafeInteger(maxPayload) || maxPayload <= 0) {
      throw new DrawbridgeError(
        'INVALID_OPTION',
        `maxPayload: ${maxPayload} is no number of bytes; give a positive integer.`,
      );
    }
    if (typeof handler !== 'function') {
      throw new DrawbridgeError('INVALID_OPTION', 'A route needs a handler: a function of (socket, request).');
    }
    this.handler = handler;
    this.#checkOrigin = checkOrigin;
    this.#subprotocols = subprotocols;
    this.#beforeUpgrade = beforeUpgrade;
    this.#acceptor = new Acceptor({ maxPayload, perMessageDeflate: options.perMessageDeflate ?? false });
  }

  /**
   * The whole way: origin, subprotocol, `beforeUpgrade`, accept, handler. Does nothing more where the client went away, or
   * the time was up, meanwhile. Rejects with the `Refusal`; for a policy that failed it is a 500 with its error as the
   * `cause`. Where no policy waits for anything, the handler has been called before this returns its promise.
   */
  async admit(upgrade: PendingUpgrade, request: Request): Promise<void> {
    try {
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
      const connection = isThenable(accepted) ? await accepted : accepted;
      if (!connection) return;
      connection.data = data;
      upgrade.upgrader.open(connection as Connection<Data>, request, this.handler);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      upgrade.upgrader.report(error, { request: upgrade.request });
      throw new Refusal(500, { cause: error });
    }
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
