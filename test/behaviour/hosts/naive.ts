import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Connection, Upgrader } from '@drawbridge/core';
import { WebSocketServer } from 'ws';
import { pageListener } from './bare.js';
import { anyPort, type Host, openSockets, type Plan, siteOf } from './host.js';

/**
 * What people write by hand around `ws`. Not one of the hosts: with `HOST=naive` the suite runs against it, to show that
 * the cases can fail.
 */
export const host: Host = {
  name: 'naive',
  secure: false,
  plainRequestStatus: 426,
  wildcard: { under: (prefix) => `${prefix}/*`, rest: (params) => String(params['*']) },
  async start(plan) {
    const server = createServer(pageListener(plan));
    const sockets = openSockets(server);
    await plan.before?.(server);
    const webSocketServer = new WebSocketServer({ noServer: true });
    listen(server, webSocketServer, plan);
    await once(server.listen(anyPort), 'listening');
    const upgrader = { close: async () => {}, detach() {}, connections: webSocketServer.clients };
    return siteOf(server, upgrader as unknown as Upgrader, false, sockets, async () => server.close());
  },
};

function listen(server: ReturnType<typeof createServer>, webSocketServer: WebSocketServer, plan: Plan): void {
  server.on('upgrade', async (request, socket, head) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const route = plan.routes?.find(({ path }) => path === pathname);
    if (!route) return socket.destroy();
    const { signal } = new AbortController();
    let answered = false;
    const answer = (status: number, _headers: object, body: string) => {
      answered = true;
      socket.write(`HTTP/1.1 ${status} No\r\n\r\n${body}`);
      socket.destroy();
    };
    for (const gate of route.gates ?? []) {
      await gate({ headers: request.headers, signal, append() {}, answer });
      if (answered) return;
    }
    webSocketServer.handleUpgrade(request, socket, head, (webSocket) => {
      const arrival = { headers: request.headers, params: {}, query: Object.fromEntries(searchParams) };
      route.handler?.(webSocket as unknown as Connection, arrival);
    });
  });
}
