import type { Server } from 'node:http';
import { DrawbridgeError, PendingUpgrade, Refusal } from '@drawbridge/core';
import type { FastifyInstance, preCloseAsyncHookHandler, preCloseHookHandler } from 'fastify';
import createPlugin from 'fastify-plugin';
import { Bridge, type BridgeOptions, kBridge, kReply } from './bridge.js';
import { Declaration, isWatched, watch } from './declaration.js';
import { injectWS } from './inject-ws.js';
import { keepRefusalBodies } from './refusal-body.js';

/** The options of the Upgrader, and those of @fastify/websocket. */
export interface WebsocketPluginOptions extends BridgeOptions {
  /** Runs before the connections that are still open are closed. Default: nothing. */
  preClose?: preCloseHookHandler | preCloseAsyncHookHandler;
}

/** The servers whose upgrades go through a Fastify instance. */
const attached = new WeakSet<Server>();

/**
 * Adds WebSocket routes to an instance and those below it. Throws `INVALID_OPTION`; `IMPORTED_TOO_LATE` where it cannot know
 * the routes that are there already; `ALREADY_ATTACHED` for a second one on the same server.
 */
async function drawbridge(fastify: FastifyInstance, { preClose, ...options }: WebsocketPluginOptions): Promise<void> {
  mustBeFunction('preClose', preClose);
  mustBeFunction('errorHandler', options.errorHandler);
  if (options.options && 'path' in options.options) {
    fastify.log.warn("options.path of ws is for a server without routes; a route's path is what counts here");
  }
  const bridge = new Bridge(fastify, options);
  if (attached.has(bridge.server)) throw alreadyAttached();
  attached.add(bridge.server);
  if (!isWatched(fastify)) mustHaveNoRoutes(fastify);
  watch(fastify);
  decorate(fastify, bridge);
  fastify.addHook('onRequest', (request, reply, done) => {
    const upgrade = PendingUpgrade.of(request.raw);
    // Without done() nothing follows, and a reply that is hijacked waits for nothing.
    if (PendingUpgrade.isOver(request.raw)) return void reply.hijack();
    if (!upgrade) return done();
    const isOurs = Declaration.of(request) !== undefined;
    if (isOurs || bridge.alone) {
      bridge.receive(upgrade, request, reply);
      return done(isOurs || request.is404 ? undefined : notSpoken());
    }
    reply.hijack();
    upgrade.pass();
  });
  // Once it is accepted no error handler of the application's is asked any more what to do about an error, so it is told here.
  fastify.addHook('onError', (request, _reply, error, done) => {
    const upgrade = PendingUpgrade.of(request.raw);
    if (upgrade && error instanceof Refusal) upgrade.refusalCode = error.code;
    else if (upgrade?.decided) bridge.upgrader.report(error, { request: request.raw });
    done();
  });
  keepRefusalBodies(fastify);
  if (preClose) fastify.addHook('preClose', preClose as preCloseAsyncHookHandler);
  fastify.addHook('preClose', () => bridge.upgrader.close({ timeout: patience(fastify) }));
  fastify.addHook('onClose', async () => {
    bridge.detach();
    attached.delete(bridge.server);
  });
  bridge.attach();
}

function decorate(fastify: FastifyInstance, bridge: Bridge): void {
  fastify.decorate(kBridge, bridge);
  fastify.decorate('upgrader', bridge.upgrader);
  fastify.decorate('websocketServer', bridge.websocketServer);
  fastify.decorate('injectWS', (path = '/', context = {}, options = {}) =>
    injectWS(fastify, bridge.server, path, context, options),
  );
  fastify.decorateRequest('ws', false);
  fastify.decorateRequest(kReply, null);
}

/** Less than what Fastify grants to a hook, in milliseconds, so that it is not Fastify that gives up. */
function patience({ initialConfig: { pluginTimeout = 10_000 } }: FastifyInstance): number {
  return pluginTimeout === 0 ? 10_000 : Math.min(10_000, Math.max(pluginTimeout / 2, pluginTimeout - 1_000));
}

function mustBeFunction(name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return;
  throw new DrawbridgeError('INVALID_OPTION', `${name} is no function; give one, or leave it out.`);
}

function notSpoken(): Refusal {
  return new Refusal(404, { code: 'NO_ROUTE', body: 'There is no WebSocket here.' });
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

export const websocket = createPlugin(drawbridge, { fastify: '5.x', name: '@drawbridge/fastify' });
