import { once } from 'node:events';
import { createServer } from 'node:http';
import { attach, websocket } from '@drawbridge/express';
import type { Application, RequestHandler } from 'express';
import { anyPort, bodyOf, type Gate, type Handler, type Host, openSockets, type Page, siteOf } from './host.js';

/** An Express application of either major version. */
export function expressHost(name: string, createApplication: () => Application, wildcard: Host['wildcard']): Host {
  return {
    name,
    secure: false,
    plainRequestStatus: 404,
    wildcard,
    async start(plan) {
      const app = createApplication();
      app.set('env', 'production');
      for (const { path, gates = [], options = {}, handler = () => {} } of plan.routes ?? []) {
        app.get(path, ...gates.map(middleware), websocket(options, handler as Handler));
      }
      for (const [path, page] of Object.entries(plan.pages ?? {})) app.all(path, serve(page));
      const server = createServer(app);
      const sockets = openSockets(server);
      await plan.before?.(server);
      const upgrader = attach(server, app, plan.options);
      await once(server.listen(anyPort), 'listening');
      return siteOf(server, upgrader, false, sockets, async () => server.close());
    },
  };
}

function middleware(gate: Gate): RequestHandler {
  return async (request, response, next) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    let answered = false;
    try {
      await gate({
        headers: request.headers,
        signal: gone.signal,
        append: (name, value) => response.append(name, value),
        answer: (status, headers, body) => {
          answered = true;
          response.status(status).set(headers).send(body);
        },
      });
    } catch (error) {
      return next(error);
    }
    if (!answered) next();
  };
}

function serve(page: Page): RequestHandler {
  return async (request, response) => {
    response.type('text/plain').send(await page(await bodyOf(request)));
  };
}
