import type { Site } from '@drawbridge/core';
import type { FastifyRequest } from 'fastify';

/** Where a request was addressed and by whom, as Fastify tells it by its own `trustProxy`: no second setting to forget. */
export function siteOf(request: FastifyRequest): Site {
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
