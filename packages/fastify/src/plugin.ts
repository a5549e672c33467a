import type { Server } from 'node:http';
import {
  type Connection,
  DrawbridgeError,
  PendingUpgrade,
  Refusal,
  Upgrader,
  type UpgraderOptions,
} from '@drawbridge/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import createPlugin from 'fastify-plugin';
import { Declaration, isWatched, watch } from './declaration.js';
import { keepRefusalBodies } from './refusal-body.js';
import { compileSite } from './site.js';

/** Where something unexpected happened. */
export interface FastifyErrorContext {
  request?: FastifyRequest | undefined;
  socket?: Connection<unknown> | undefined;
}

export interface WebsocketPluginOptions extends Omit<UpgraderOptions<undefined, FastifyRequest>, 'onError'> {
  /** The one place where everything unexpected is told. Default: a line on the request's logger. */
  onError?: (error: unknown, context: FastifyErrorContext) => void;
}

/** The requests that ask for an upgrade, as Fastify knows them. */
type Requests = WeakMap<object, FastifyRequest>;

/** The servers whose upgrades go through a Fastify instance. */
const attached = new WeakSet<Server>();

/**
 * Adds WebSocket routes to an instance and those below it. Throws `INVALID_OPTION`; `IMPORTED_TOO_LATE` where it cannot know
 * the routes that are there already; `ALREADY_ATTACHED` for a second one on the same server.
 */
async function drawbridge(fastify: FastifyInstance, { onError, ...options }: WebsocketPluginOptions): Promise<void> {
  if (attached.has(fastify.server)) throw alreadyAttached();
  if (!isWatched(fastify)) mustHaveNoRoutes(fastify);
  watch(fastify);
  const requests: Requests = new WeakMap();
  const upgrader = new Upgrader<undefined, FastifyRequest>({
    ...options,
    onError: reportTo(fastify, requests, onError),
  });
  if (options.trustProxy === undefined) upgrader.siteOf = compileSite(fastify) ?? upgrader.siteOf;
  fastify.decorate('upgrader', upgrader);
  fastify.decorateRequest('ws', false);
  fastify.addHook('onRequest', (request, reply, done) => {
    const upgrade = PendingUpgrade.of(request.raw);
    if (!upgrade) return done();
    request.ws = true;
    requests.set(request, request).set(request.raw, request);
    if (Declaration.of(request)) return done();
    if (isAlone(fastify)) return done(request.is404 ? undefined : notSpoken());
    reply.hijack();
    upgrade.pass();
  });
  // Once it is accepted no error handler of the application's is asked any more what to do about an error, so it is told here.
  fastify.addHook('onError', (request, _reply, error, done) => {
    const upgrade = PendingUpgrade.of(request.raw);
    if (upgrade?.decided && !(error instanceof Refusal)) upgrader.report(error, { request: request.raw });
    done();
  });
  keepRefusalBodies(fastify);
  fastify.addHook('preClose', () => upgrader.close({ timeout: patience(fastify) }));
  fastify.addHook('onClose', async () => void upgrader.detach(fastify.server));
  attached.add(fastify.server);
  upgrader.attach(fastify.server, ({ request, response }) => fastify.routing(request, response));
}

/** A little less than what Fastify grants to a hook, in milliseconds, so that it is not Fastify that gives up. */
function patience({ initialConfig: { pluginTimeout = 10_000 } }: FastifyInstance): number {
  return pluginTimeout === 0 ? 10_000 : Math.min(10_000, pluginTimeout * 0.9);
}

/** Whether no one else listens for the server's upgrades, who could want what is not ours. */
function isAlone({ server }: FastifyInstance): boolean {
  return server.listenerCount('upgrade') <= 1;
}

function reportTo(
  fastify: FastifyInstance,
  requests: Requests,
  onError: WebsocketPluginOptions['onError'],
): NonNullable<UpgraderOptions['onError']> {
  const report = onError ?? ((error, { request }) => (request ?? fastify).log.error(error));
  return (error, { request, socket }) => report(error, { request: request && requests.get(request), socket });
}

function alreadyAttached(): DrawbridgeError {
  return new DrawbridgeError(
    'ALREADY_ATTACHED',
    'This plugin is registered on this server already; register it once, on the outermost instance that has WebSocket routes.',
  );
}

/** Of routes that were declared unseen nobody can tell any more which of them asked for WebSocket. */
function mustHaveNoRoutes(fastify: FastifyInstance): void {
  const routes = fastify.printRoutes({ method: 'GET', commonPrefix: false });
  if (routes === '(empty tree)') return;
  throw new DrawbridgeError(
    'IMPORTED_TOO_LATE',
    `Routes were declared before this plugin could see them, so it cannot know which are WebSocket routes:\n${routes}` +
      "Import (or require) '@drawbridge/fastify' before you call Fastify(), or register it before the first route: " +
      'await fastify.register(websocket).',
  );
}

function notSpoken(): Refusal {
  return new Refusal(404, { code: 'NO_ROUTE', body: 'There is no WebSocket here.' });
}

export const websocket = createPlugin(drawbridge, { fastify: '5.x', name: '@drawbridge/fastify' });
