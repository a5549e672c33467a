import type { IncomingMessage } from 'node:http';
import proxyAddr from 'proxy-addr';
import { DrawbridgeError } from './errors.js';

/**
 * Which proxies in front of this server are believed when they say who the client is and how it came (the semantics of
 * Express's `trust proxy`): `true` all, a number of hops, addresses and ranges ("loopback", "10.0.0.0/8"), or a function.
 */
export type TrustProxy = boolean | number | string | readonly string[] | Trust;

type Trust = (address: string, hop: number, request: IncomingMessage) => boolean;

/** Where the request was addressed and by whom, as far as this server and the proxies it trusts know. */
export interface Site {
  /** The Host that the client named, with its port if it wrote one. */
  readonly host: string;
  /** `undefined`: a plain socket, which a TLS terminator that nobody told us about may stand in front of. */
  readonly scheme: 'http' | 'https' | undefined;
  /** The client's address; that of the nearest untrusted hop. */
  readonly address: string;
}

export type SiteOf = (request: IncomingMessage) => Site;

/** Compiles `trustProxy` once. Throws `INVALID_OPTION` for an address that is none. */
export function compileSite(trustProxy: TrustProxy): SiteOf {
  if (trustProxy === false) return (request) => new DirectSite(request);
  const trust = compileTrust(trustProxy);
  return (request) => new ForwardedSite(request, trust);
}

function compileTrust(trustProxy: Exclude<TrustProxy, false>): Trust {
  if (trustProxy === true) return () => true;
  if (typeof trustProxy === 'function') return trustProxy;
  if (typeof trustProxy === 'number') return (_address, hop) => hop < trustProxy;
  const addresses = typeof trustProxy === 'string' ? trustProxy.split(',').map((one) => one.trim()) : [...trustProxy];
  try {
    return proxyAddr.compile(addresses);
  } catch (cause) {
    throw new DrawbridgeError(
      'INVALID_OPTION',
      `trustProxy: ${(cause as Error).message}; give addresses, ranges, or a number of hops.`,
      { cause },
    );
  }
}

/** What the socket itself tells, and only when it is asked: an address costs a system call. */
class DirectSite implements Site {
  protected readonly request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.request = request;
  }

  get host(): string {
    return this.request.headers.host ?? '';
  }

  get scheme(): Site['scheme'] {
    return 'encrypted' in this.request.socket ? 'https' : undefined;
  }

  get address(): string {
    return this.request.socket.remoteAddress ?? '';
  }
}

/** What the nearest hop says, if it is trusted; who that is, is asked only where it says something. */
class ForwardedSite extends DirectSite {
  readonly #trust: Trust;

  constructor(request: IncomingMessage, trust: Trust) {
    super(request);
    this.#trust = trust;
  }

  override get host(): string {
    return this.#forwarded('x-forwarded-host') ?? super.host;
  }

  override get scheme(): Site['scheme'] {
    return schemeOf(this.#forwarded('x-forwarded-proto')) ?? super.scheme;
  }

  override get address(): string {
    if (!this.#trust(super.address, 0, this.request)) return super.address;
    // Of a Unix socket there is none, which its types do not say.
    return proxyAddr(this.request, (address, hop) => this.#trust(address, hop, this.request)) ?? '';
  }

  #forwarded(header: string): string | undefined {
    const value = first(this.request.headers[header]);
    return value !== undefined && this.#trust(super.address, 0, this.request) ? value : undefined;
  }
}

function schemeOf(forwarded: string | undefined): Site['scheme'] {
  const scheme = forwarded?.toLowerCase();
  if (scheme === 'https' || scheme === 'wss') return 'https';
  return scheme === 'http' || scheme === 'ws' ? 'http' : undefined;
}

/** The first of the values that a chain of proxies has added to. */
function first(field: string | string[] | undefined): string | undefined {
  const text = Array.isArray(field) ? field[0] : field;
  return text?.split(',', 1)[0]?.trim() || undefined;
}
