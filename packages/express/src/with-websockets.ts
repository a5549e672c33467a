import type { Server } from 'node:http';
import type { Connection, Upgrader, UpgraderOptions } from '@drawbridge/core';
import type { Application, IRouter, NextFunction, Request, RequestHandler } from 'express';
import { dispatchThrough, upgraderOf } from './attach.js';
import { noteAttachment } from './attachments.js';
import type { RouteParams } from './route-params.js';
import { websocket } from './websocket.js';

/** Runs when the connection is open. `next(error)`, like throwing, closes it with 1011 and is reported. */
export type WsHandler<Params = Request['params']> = (
  socket: Connection,
  req: Request<Params>,
  next: NextFunction,
) => void | Promise<void>;

type PathPattern = string | RegExp | (string | RegExp)[];

export interface WsMethod {
  /**
   * Adds a WebSocket route. The middleware is Express's own, `(req, res, next)`, and runs before the upgrade is accepted;
   * only the last function is given the socket. An ordinary request for the path goes on to the next route.
   */
  ws<Path extends string>(path: Path, handler: WsHandler<RouteParams<Path>>): this;
  ws<Path extends string>(
    path: Path,
    middleware: RequestHandler<RouteParams<Path>> | RequestHandler[],
    handler: WsHandler<RouteParams<Path>>,
  ): this;
  ws<Path extends string>(
    path: Path,
    first: RequestHandler<RouteParams<Path>>,
    second: RequestHandler<RouteParams<Path>>,
    handler: WsHandler<RouteParams<Path>>,
  ): this;
  ws(path: PathPattern, ...handlers: [...middleware: RequestHandler[], handler: WsHandler]): this;
}

export interface WithWebSocketsOptions extends UpgraderOptions<undefined, Request> {
  /** A server of your own, such as an https one. Default: the one that `app.listen()` makes. */
  server?: Server;
}

export interface WithWebSockets<App> {
  /** The same application, with `.ws()`. */
  readonly app: App & WsMethod;
  /** Gives a router, or a mounted application, the method `.ws()`. */
  applyTo<Target extends IRouter>(target: Target): Target & WsMethod;
  readonly upgrader: Upgrader<undefined, Request>;
}

/**
 * The door for those who come from express-ws: gives this application the method `.ws(path, ...middleware, handler)`, and
 * routers by `applyTo`; `app.listen()` attaches by itself. Nothing but this application and those routers is touched.
 *
 * Throws `INVALID_OPTION`.
 *
 * @example
 * const { app, applyTo } = withWebSockets(express());
 * app.ws('/echo', (socket) => { socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })); });
 * app.listen(8080);
 */
export function withWebSockets<App extends Application>(
  app: App,
  { server, ...options }: WithWebSocketsOptions = {},
): WithWebSockets<App> {
  const upgrader = upgraderOf(app, options);
  const dispatch = dispatchThrough(app);
  noteAttachment(app, { upgrader: upgrader as never, dispatch });
  if (server) upgrader.attach(server, dispatch);
  else attachOnListen(app, (listening) => upgrader.attach(listening, dispatch));
  return { app: applyTo(app), applyTo, upgrader };
}

function attachOnListen(app: Application, attach: (server: Server) => void): void {
  const { listen } = app;
  app.listen = (...given: unknown[]): Server => {
    const server = listen.apply(app, given as never);
    attach(server);
    return server;
  };
}

function applyTo<Target extends IRouter>(target: Target): Target & WsMethod {
  const ws = (path: PathPattern, ...given: [...RequestHandler[], WsHandler]): Target => {
    const handler = given.pop() as WsHandler;
    return target.get(path, ...(given as unknown as RequestHandler[]), websocket(withNext(handler)));
  };
  return Object.assign(target, { ws } as unknown as WsMethod);
}

/** After the answer 101 nothing can come next but an error. */
function withNext(handler: WsHandler): (socket: Connection, req: Request) => void | Promise<void> {
  return (socket, req) => handler(socket, req, (error?: unknown) => void (error && socket.fail(error)));
}
