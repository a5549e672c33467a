import type { IncomingMessage } from 'node:http';
import type { Site } from '@drawbridge/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { internalOf } from './fastify-internals.js';

/**
 * Tells where a request was addressed and by whom by Fastify's own `trustProxy`, so that there is no second setting to forget.
 * Where it is asked before Fastify has made a request of it, the request's class is taken from where the instance keeps it;
 * `undefined` if it is not there.
 */
export function compileSite(
  fastify: FastifyInstance,
  arrivedAs: (raw: IncomingMessage) => FastifyRequest | undefined,
): ((raw: IncomingMessage) => Site) | undefined {
  const requests = internalOf<{ prototype: FastifyRequest }>(fastify, 'fastify.Request');
  if (!requests) return undefined;
  return (raw) => new FastifySite(arrivedAs(raw) ?? Object.create(requests.prototype, { raw: { value: raw } }));
}

/** Asks only for what it is asked: an address costs a system call. */
class FastifySite implements Site {
  readonly #request: FastifyRequest;

  constructor(request: FastifyRequest) {
    this.#request = request;
  }

  get host(): string {
    return this.#request.host;
  }

  /** Of a plain socket Fastify says `http`; what a TLS terminator in front of it speaks is known only if it was forwarded. */
  get scheme(): Site['scheme'] {
    const scheme = this.#request.protocol.toLowerCase();
    if (scheme === 'https' || scheme === 'wss') return 'https';
    return this.#request.headers['x-forwarded-proto'] !== undefined && this.#cameByTrustedProxy ? 'http' : undefined;
  }

  get address(): string {
    // Of a Unix socket there is none, which its types do not say.
    return this.#request.ip ?? '';
  }

  /** `ips` ends with the first address that is not trusted, and is there only with `trustProxy`. */
  get #cameByTrustedProxy(): boolean {
    return (this.#request.ips ?? []).length > 1;
  }
}
