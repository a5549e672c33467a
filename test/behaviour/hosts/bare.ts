import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import { Refusal, type RouteOptions, Upgrader } from '@drawbridge/core';
import { anyPort, bodyOf, type Gate, type Host, openSockets, type Plan, type Route, siteOf } from './host.js';

/** A server of Node's own, with nothing between it and Drawbridge. */
export function bareHost(
  name: string,
  secure: boolean,
  createServer: (listener?: RequestListener) => Server | Promise<Server>,
): Host {
  return {
    name,
    secure,
    plainRequestStatus: 426,
    wildcard: { under: (prefix) => `${prefix}/*`, rest: (params) => String(params['*']) },
    async start(plan) {
      const server = await createServer(plan.pages && pageListener(plan));
      const sockets = openSockets(server);
      await plan.before?.(server);
      const upgrader = new Upgrader(plan.options);
      for (const route of plan.routes ?? []) upgrader.route(route.path, optionsOf(route), route.handler ?? (() => {}));
      upgrader.attach(server);
      await once(server.listen(anyPort), 'listening');
      return siteOf(server, upgrader, secure, sockets, async () => server.close());
    },
  };
}

export function pageListener({ pages = {} }: Plan): RequestListener {
  return async (request, response) => {
    const page = pages[request.url?.split('?', 1)[0] ?? ''];
    if (!page) return response.writeHead(404).end('no such page');
    response.setHeader('Content-Type', 'text/plain');
    response.end(await page(await bodyOf(request)));
  };
}

function optionsOf({ gates = [], options = {} }: Route): RouteOptions<unknown> {
  if (gates.length === 0) return options;
  return {
    ...options,
    async beforeUpgrade(request, context) {
      for (const gate of gates) await pass(gate, request.headers, context);
      return options.beforeUpgrade?.(request, context);
    },
  };
}

async function pass(
  gate: Gate,
  headers: Parameters<Gate>[0]['headers'],
  context: { signal: AbortSignal; headers: { append(name: string, value: string): void } },
): Promise<void> {
  let refusal: Refusal | undefined;
  await gate({
    headers,
    signal: context.signal,
    append: (name, value) => context.headers.append(name, value),
    answer: (status, fields, body) => {
      refusal = new Refusal(status, { headers: fields, body });
    },
  });
  if (refusal) throw refusal;
}
