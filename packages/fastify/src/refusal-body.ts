import { Refusal } from '@drawbridge/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Declaration } from './declaration.js';

/**
 * Lets a `Refusal` reach the client as it is, body and all, where the application has no error handler of its own; Fastify's
 * default one would make JSON of its message. Whatever handler the application has set is free to render it.
 */
export function keepRefusalBodies(fastify: FastifyInstance): void {
  const refusals = new WeakMap<FastifyReply, Refusal>();
  fastify.addHook('onError', (_request, reply, error, done) => {
    if (error instanceof Refusal) refusals.set(reply, error);
    done();
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const refusal = refusals.get(reply);
    if (!refusal || hasOwnErrorHandler(request)) return done(null, payload);
    reply
      .code(refusal.status)
      .removeHeader('content-type')
      .headers(contentType(refusal) as Record<string, string>);
    done(null, typeof refusal.body === 'string' ? refusal.body : Buffer.from(refusal.body));
  });
}

/** Fastify binds the handlers that it is given, so none of those can have the name of its own. */
function hasOwnErrorHandler(request: FastifyRequest): boolean {
  if (Declaration.of(request)?.hasErrorHandler) return true;
  return request.server.errorHandler.name !== 'defaultErrorHandler';
}

function contentType({ headers }: Refusal): Refusal['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() === 'content-type'));
}
