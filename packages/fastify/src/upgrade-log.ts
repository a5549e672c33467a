import type { Connection, PendingUpgrade } from '@drawbridge/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { internalOf } from './fastify-internals.js';

/**
 * One line on the request's own logger, and so with its id, for each upgrade that is decided and each connection that ends:
 * `upgraded`, `refused`, `abandoned` (the client went away first) and `closed`, with the route, a code and how long it took
 * in milliseconds. Where Fastify logs no requests, there is none.
 */
export class UpgradeLog {
  readonly #isSilent: (request: FastifyRequest) => boolean;
  readonly #upgraded = new WeakSet<FastifyRequest>();

  constructor(fastify: FastifyInstance) {
    const controller = internalOf<{ isLogDisabled(request: FastifyRequest): boolean }>(
      fastify,
      'fastify.logController',
    );
    const disabled = fastify.initialConfig.disableRequestLogging === true;
    this.#isSilent = (request) =>
      saysNothing(request.log) || (controller ? controller.isLogDisabled(request) : disabled);
  }

  /** An upgrade has come that is going to be decided here. */
  follow(upgrade: PendingUpgrade, request: FastifyRequest, reply: FastifyReply): void {
    if (this.#isSilent(request)) return;
    reply.raw.once('close', () => {
      if (!this.#upgraded.has(request)) noteRefusal(upgrade, request, reply);
    });
  }

  /** It was accepted. */
  opened(socket: Connection<unknown>, request: FastifyRequest, reply: FastifyReply): void {
    if (this.#isSilent(request)) return;
    this.#upgraded.add(request);
    const { log } = request;
    const route = socket.path;
    log.info({ route, code: 101, duration: reply.elapsedTime }, 'upgraded');
    socket.once('close', (code) => log.info({ route, code, duration: socket.duration }, 'closed'));
  }
}

/** The methods of a logger for which its level is too high are one and the same, and so are all of Fastify's for want of one. */
function saysNothing(log: FastifyRequest['log']): boolean {
  return log.info === log.trace;
}

function noteRefusal(upgrade: PendingUpgrade, { log, routeOptions }: FastifyRequest, reply: FastifyReply): void {
  const { aborted, reason } = upgrade.signal;
  const code: string = aborted ? reason.code : upgrade.refusalCode;
  const line = { route: routeOptions.url, code, status: statusOf(code, reply), duration: reply.elapsedTime };
  log.info(line, code === 'CLIENT_GONE' ? 'abandoned' : 'refused');
}

/** Where nobody waits for the application any more, its reply says nothing of what the client got. */
function statusOf(code: string, { statusCode }: FastifyReply): number | undefined {
  if (code === 'CLIENT_GONE') return undefined;
  return code === 'HANDSHAKE_TIMEOUT' ? 408 : statusCode;
}
