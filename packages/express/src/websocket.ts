import type { IncomingMessage } from 'node:http';
import {
  asksForWebSocket,
  DrawbridgeError,
  type Handler,
  PendingUpgrade,
  type Route,
  type RouteOptions,
  Upgrader,
} from '@drawbridge/core';
import type { Request, RequestHandler } from 'express';
import { learnRouterSymbols } from './shape.js';

/**
 * Middleware that accepts WebSocket upgrades, for wherever middleware may stand: `app.use`, `app.get`, a router at any
 * depth. By then everything in front of it has agreed; what `checkOrigin` or `beforeUpgrade` refuse goes to `next(refusal)`,
 * so that the application's own error handlers may render it. A request that is no upgrade goes on to `next()`; one
 * whose upgrade is over already (the client has gone, the time was up) goes nowhere.
 *
 * `options` are those of the route; the options of `attach` stand in for what they leave out. The handler gets the socket
 * and Express's request.
 *
 * Throws `INVALID_OPTION`. Where `attach` was forgotten, an upgrade gets 500 and `NOT_ATTACHED` says what to call.
 *
 * @example
 * app.get('/rooms/:room', requireLogin, websocket({ subprotocols: ['v1.chat'] }, (socket, req) => {
 *   socket.send(`welcome to ${req.params.room}`);
 * }));
 */
export function websocket<Params = Request['params'], Data = undefined>(
  handler: Handler<Data, Request<Params>>,
): RequestHandler<Params>;
export function websocket<Params = Request['params'], Data = undefined>(
  options: RouteOptions<Data, Request<Params>>,
  handler: Handler<Data, Request<Params>>,
): RequestHandler<Params>;
export function websocket<Params, Data>(
  ...given: [Handler<Data, Request<Params>>] | [RouteOptions<Data, Request<Params>>, Handler<Data, Request<Params>>]
): RequestHandler<Params> {
  const [options, handler] = given.length === 1 ? [{}, given[0]] : given;
  const routes = new WeakMap<Upgrader<never, never>, Route<Data, Request<Params>>>();

  function routeFor(upgrader: Upgrader<never, never>, req: Request<Params>): Route<Data, Request<Params>> {
    const known = routes.get(upgrader);
    if (known) return known;
    learnRouterSymbols(req);
    const route = upgrader.compile(options, handler);
    routes.set(upgrader, route);
    return route;
  }

  // What is wrong with the options should be known when the application starts, not with its first client.
  new Upgrader().compile(options, handler);

  return (req, _res, next) => {
    if (PendingUpgrade.isOver(req)) return;
    const upgrade = PendingUpgrade.of(req);
    if (!upgrade) return next(isLostUpgrade(req) ? notAttached() : undefined);
    routeFor(upgrade.upgrader, req)
      .admit(upgrade, req)
      .catch((refusal: unknown) => upgrade.decided || next(refusal));
  };
}

/** Where nobody listens for upgrades, Node serves one as the ordinary request that it also is, and marks it so. */
function isLostUpgrade(req: IncomingMessage & { upgrade?: boolean }): boolean {
  return req.upgrade !== true && asksForWebSocket(req) && /\bupgrade\b/i.test(req.headers.connection ?? '');
}

function notAttached(): DrawbridgeError {
  return new DrawbridgeError(
    'NOT_ATTACHED',
    'A WebSocket upgrade came as an ordinary request, for nobody listens for upgrades on this server; ' +
      'call attach(server, app) of @drawbridge/express with the server that app.listen() returned.',
  );
}
