import websocket, { type RouteOptions, type WebsocketHandler, type WebsocketPluginOptions } from '@drawbridge/fastify';
import createFastify, { type FastifyInstance, type FastifyRequest, type onRequestAsyncHookHandler } from 'fastify';
import { anyPort, type Gate, type Host, openSockets, type Plan, siteOf } from './host.js';

/** A Fastify application; gates are `onRequest` hooks of the route. */
export const host: Host = {
  name: 'fastify5',
  secure: false,
  plainRequestStatus: 404,
  wildcard: { under: (prefix) => `${prefix}/*`, rest: (params) => String(params['*']) },
  async start(plan) {
    const fastify = createFastify({ forceCloseConnections: true });
    const sockets = openSockets(fastify.server);
    await plan.before?.(fastify.server);
    await fastify.register(websocket, (plan.options ?? {}) as object as WebsocketPluginOptions);
    for (const { path, gates = [], options, handler = () => {} } of plan.routes ?? []) {
      const onUpgrade = (options ?? true) as true | object as true | RouteOptions<undefined, FastifyRequest>;
      fastify.get(path, { websocket: onUpgrade, onRequest: gates.map(hook) }, handler as object as WebsocketHandler);
    }
    addPages(fastify, plan);
    await fastify.listen(anyPort);
    return siteOf(fastify.server, fastify.upgrader, false, sockets, () => fastify.close());
  },
};

function addPages(fastify: FastifyInstance, { pages = {} }: Plan): void {
  fastify.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  for (const [url, page] of Object.entries(pages)) {
    fastify.route({
      method: ['GET', 'POST'],
      url,
      handler: async ({ body }, reply) => reply.type('text/plain').send(await page(String(body ?? ''))),
    });
  }
}

function hook(gate: Gate): onRequestAsyncHookHandler {
  return async (request, reply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    await gate({
      headers: request.headers,
      signal: gone.signal,
      append: (name, value) => void reply.header(name, value),
      answer: (status, headers, body) => void reply.code(status).headers(headers).send(body),
    });
    return reply.sent ? reply : undefined;
  };
}
