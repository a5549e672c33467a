import type { IncomingMessage, Server } from 'node:http';
import { type Dispatch, type PendingUpgrade, Upgrader, type UpgraderOptions } from '@drawbridge/core';
import type { Application, Request } from 'express';
import { noteAttachment } from './attachments.js';
import { refusalOf } from './refusal-of.js';
import { shapeForExpress } from './shape.js';

/**
 * Sends the WebSocket upgrades of a server through an Express application, like any other request: what its middleware
 * sends is the refusal, what reaches `websocket()` may be accepted, what nothing answers gets 404. The server is the one
 * that `app.listen()` returned, or one of your own; it may be attached before or after it listens. Whom to believe about
 * the client's address, scheme and host is the application's `trust proxy` setting, unless `trustProxy` is given.
 *
 * Throws `INVALID_OPTION`.
 *
 * @example
 * const upgrader = attach(app.listen(8080), app, { maxPayload: 64 * 1024 });
 * process.once('SIGTERM', () => upgrader.close());
 */
export function attach<Data = undefined>(
  server: Server,
  app: Application,
  options: UpgraderOptions<Data, Request> = {},
): Upgrader<Data, Request> {
  const upgrader = upgraderOf(app, options);
  const dispatch = dispatchThrough(app);
  noteAttachment(app, { upgrader: upgrader as never, dispatch });
  return upgrader.attach(server, dispatch);
}

/** An Upgrader that trusts the proxies that the application trusts. */
export function upgraderOf<Data>(app: Application, options: UpgraderOptions<Data, Request>): Upgrader<Data, Request> {
  const trustProxy = (address: string, hop: number, request: IncomingMessage): boolean => {
    const { app: current = app } = request as Partial<Request>;
    return current.get('trust proxy fn')(address, hop);
  };
  return new Upgrader({ trustProxy, ...options });
}

/** Lets the application decide: its router and middleware run with the upgrade's real response. */
export function dispatchThrough(app: Application): Dispatch {
  return (upgrade) => {
    const { request, response } = upgrade;
    shapeForExpress(request, response);
    app(request as Request, response as never, (error?: unknown) => conclude(upgrade, error));
  };
}

/** What the application left over: nothing answered (no error), or an error that none of its error handlers took. */
function conclude(upgrade: PendingUpgrade, error: unknown): void {
  if (!error) return upgrade.decided ? undefined : upgrade.pass();
  const { response, socket, decided } = upgrade;
  const refusal = refusalOf(error, decided ? 500 : response.statusCode);
  if (refusal !== error && refusal.status >= 500) upgrade.upgrader.report(error, { request: upgrade.request });
  if (!decided) return upgrade.refuse(refusal);
  // Half an answer must not look like a whole one.
  if (upgrade.answering && !response.writableEnded) socket.destroy();
}
