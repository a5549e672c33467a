import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { DrawbridgeError, Refusal, type RouteOptions } from '@drawbridge/core';
import type { FastifyRequest } from 'fastify';
import type { ServerOptions } from 'ws';

/** The options of `ws`'s `WebSocketServer`, as @fastify/websocket takes them. */
export type WebSocketServerOptions = Omit<ServerOptions, 'path'>;

/** What they mean for each route. Throws `INVALID_OPTION` for one that means nothing here. */
export function routeOptionsOf(options: WebSocketServerOptions): RouteOptions<undefined, FastifyRequest> {
  for (const name of Object.keys(options)) mustMeanSomething(name);
  const { maxPayload, maxFragments, perMessageDeflate, handleProtocols } = options;
  return {
    ...(maxPayload !== undefined && { maxPayload }),
    ...(maxFragments !== undefined && { maxFragments }),
    ...(perMessageDeflate !== undefined && { perMessageDeflate }),
    ...(handleProtocols && {
      subprotocols: (offered, { raw }) => handleProtocols(new Set(offered), raw) || undefined,
    }),
  };
}

/** `verifyClient`, whether it answers by what it returns or by a callback, as a check that rejects with a `Refusal`. */
export function verifierOf(options: WebSocketServerOptions): ((request: IncomingMessage) => Promise<void>) | undefined {
  const verify = options.verifyClient as VerifyClient | undefined;
  if (!verify) return undefined;
  return (req) =>
    new Promise((resolve, reject) => {
      const { authorized, encrypted } = req.socket as Partial<TLSSocket>;
      const decide: Decide = (verified, status = 401, body = '', headers = {}) => {
        if (verified) resolve();
        else reject(new Refusal(status, { headers, ...(body !== '' && { body }) }));
      };
      const verdict = verify({ origin: req.headers.origin, secure: !!(authorized || encrypted), req }, decide);
      if (verify.length !== 2) decide(verdict);
    });
}

type Decide = (verified: unknown, status?: number, body?: string, headers?: Record<string, string>) => void;
type VerifyClient = (
  info: { origin: string | undefined; secure: boolean; req: IncomingMessage },
  decide: Decide,
) => unknown;

function mustMeanSomething(name: string): void {
  if (meanings.has(name)) return;
  throw new DrawbridgeError(
    'INVALID_OPTION',
    `options.${name} of ws means nothing here; remove it. Upgrades come from Fastify's server, or from options.server.`,
  );
}

const meanings = new Set([
  'clientTracking',
  'handleProtocols',
  'maxFragments',
  'maxPayload',
  'path',
  'perMessageDeflate',
  'server',
  'verifyClient',
]);
