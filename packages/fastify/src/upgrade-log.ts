import type { Connection, PendingUpgrade } from '@drawbridge/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { internalOf } from './fastify-internals.js';

const kLog = Symbol('drawbridge.fastify.log');

type Logged = Connection<unknown> & { [kLog]?: FastifyRequest['log'] };

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
      isNoop(request.log.info) || (controller ? controller.isLogDisabled(request) : disabled);
  }

  /** An upgrade has come that is going to be decided here. */
  follow(upgrade: PendingUpgrade, request: FastifyRequest, reply: FastifyReply): void {
    if (this.#isSilent(request)) return;
    reply.raw.once('close', () => {
      if (!this.#upgraded.has(request)) noteRefusal(upgrade, request, reply);
    });
  }

  /** It was accepted. */
  opened(socket: Logged, request: FastifyRequest, reply: FastifyReply): void {
    const { log } = request;
    if (!isNoop(log.error)) socket[kLog] = log;
    if (this.#isSilent(request)) return;
    this.#upgraded.add(request);
    log.info({ route: socket.path, code: 101, duration: reply.elapsedTime }, 'upgraded');
    socket.on('close', noteClose);
  }
}

/** The logger of the request by which a connection came, which outlives the request; `undefined` where nothing is logged. */
export function loggerOf(socket: Logged | undefined): FastifyRequest['log'] | undefined {
  return socket?.[kLog];
}

function noteClose(this: WebSocket, code: number): void {
  const { path: route, duration, [kLog]: log } = this as unknown as Logged;
  log?.info({ route, code, duration }, 'closed');
}

/** What pino puts in the place of a method for which its level is too high, and Fastify in that of every one for want of a logger. */
function isNoop({ name }: FastifyRequest['log']['info']): boolean {
  return name === 'noop';
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
