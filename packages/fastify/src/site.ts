import type { IncomingMessage } from 'node:http';
import type { Site } from '@drawbridge/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { internalOf } from './fastify-internals.js';

/**
 * Tells where a request was addressed and by whom by Fastify's own `trustProxy`, so that there is no second setting to forget.
 * It is asked before Fastify has made a request of it, so the request's class is taken from where the instance keeps it;
 * `undefined` if it is not there.
 */
export function compileSite(fastify: FastifyInstance): ((request: IncomingMessage) => Site) | undefined {
  const requests = internalOf<{ prototype: FastifyRequest }>(fastify, 'fastify.Request');
  return requests && ((raw) => siteOf(Object.create(requests.prototype, { raw: { value: raw } })));
}

function siteOf(request: FastifyRequest): Site {
  return { host: request.host, scheme: schemeOf(request), address: request.ip };
}

/** Of a plain socket Fastify says `http`; what a TLS terminator in front of it speaks is known only if it was forwarded. */
function schemeOf(request: FastifyRequest): Site['scheme'] {
  const scheme = request.protocol.toLowerCase();
  if (scheme === 'https' || scheme === 'wss') return 'https';
  return cameByTrustedProxy(request) && request.headers['x-forwarded-proto'] !== undefined ? 'http' : undefined;
}

/** `ips` ends with the first address that is not trusted, and is there only with `trustProxy`. */
function cameByTrustedProxy({ ips = [] }: FastifyRequest): boolean {
  return ips.length > 1;
}
