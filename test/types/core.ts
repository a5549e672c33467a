import { createServer as createHttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import {
  allowOrigins,
  anyOrigin,
  type CloseInfo,
  type Connection,
  Refusal,
  sameOrigin,
  Upgrader,
} from '@drawbridge/core';
import type { WebSocket } from 'ws';
import { same } from './same.js';

const upgrader = new Upgrader();

// A route's path types its parameters.
upgrader.route('/rooms/:room', (socket, request) => {
  same<string>()(request.params.room);
  same<Record<string, string | string[]>>()(request.query);
  same<string | undefined>()(request.headers.authorization);
  // @ts-expect-error: the path has no such parameter
  request.params.other;
  const ws: WebSocket = socket;
  ws.send('as ws sends');
});
upgrader.route('/rooms/:room/users/:user', {}, (_socket, { params }) => {
  same<{ room: string; user: string }>()({ ...params });
});
upgrader.route('/files/*', (_socket, { params }) => {
  same<string>()(params['*']);
});
upgrader.route('/feeds/:feed?', (_socket, { params }) => {
  same<string | undefined>()(params.feed);
});
upgrader.route('/releases/:major.:minor', (_socket, { params }) => {
  same<{ major: string; minor: string }>()({ ...params });
});
upgrader.route('/echo', (_socket, { params }) => {
  // @ts-expect-error: the path has no parameters
  params.room;
});
upgrader.route(process.env.ECHO_PATH ?? '/echo', (_socket, { params }) => {
  same<string | undefined>()(params.whatever);
});

// What beforeUpgrade returns is socket.data.
upgrader.route(
  '/private/:room',
  {
    async beforeUpgrade(request, { headers, signal }) {
      same<string>()(request.params.room);
      same<AbortSignal>()(signal);
      headers.append('Set-Cookie', 'seen=1');
      if (request.headers.authorization === undefined) {
        throw new Refusal(401, { headers: { 'WWW-Authenticate': ['Bearer'] }, body: new Uint8Array(2) });
      }
      return { name: 'ada' };
    },
  },
  (socket, request) => {
    same<{ name: string }>()(socket.data);
    same<string>()(request.params.room);
    // @ts-expect-error: beforeUpgrade returned no such thing
    socket.data.age;
  },
);
upgrader.route('/counted', { beforeUpgrade: () => 7 }, (socket) => {
  same<number>()(socket.data);
});
upgrader.route('/plain', (socket) => {
  same<undefined>()(socket.data);
});

// A connection has ws's types for listeners of both kinds.
upgrader.route('/listening', (socket) => {
  socket.addEventListener('message', ({ data, type }) => same<string>()(typeof data === 'string' ? data : type));
  socket.addEventListener('close', { handleEvent: ({ code, wasClean }) => same<boolean>()(wasClean && code === 1000) });
  socket.onmessage = ({ data }) => socket.send(data.toString());
  socket.once('close', (code, reason) => {
    same<number>()(code);
    same<Buffer>()(reason);
  });
  // @ts-expect-error: there is no such event
  socket.addEventListener('massage', () => {});
});

// A handler may be asynchronous, and may be declared apart from its route.
upgrader.route('/slow', async (socket) => {
  await new Promise((resolve) => socket.once('close', resolve));
});
function greet(socket: Connection): void {
  socket.send('hello');
}
upgrader.route('/greet', greet);
// @ts-expect-error: a route needs a handler
upgrader.route('/none');
// @ts-expect-error: a route needs a handler
upgrader.route('/none', {});
// @ts-expect-error: nobody reads what a handler returns
upgrader.route('/number', () => 7);

// A connection is ws's, with messages that can be waited for.
upgrader.route('/reading', async (socket) => {
  for await (const message of socket) same<string | Buffer>()(message);
  same<string | Buffer>()(await socket.receive({ timeout: 1_000, signal: socket.signal }));
  same<{ id: number }>()(await socket.receiveJSON<{ id: number }>());
  same<unknown>()(await socket.receiveJSON());
  same<void>()(await socket.drained());
  same<CloseInfo>()(await socket.closed);
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  // @ts-expect-error: how a connection ended is only to be read
  (await socket.closed).code = 1000;
  // @ts-expect-error: the time to wait is in milliseconds
  await socket.receive({ timeout: '1s' });
});

// Options.
new Upgrader({
  checkOrigin: allowOrigins('https://example.com', 'https://*.example.com'),
  subprotocols: ['v2.chat', 'v1.chat'],
  maxPayload: 1024,
  perMessageDeflate: { threshold: 1024 },
  slowConsumer: 'pause',
  heartbeat: { interval: 10_000 },
  idleTimeout: 60_000,
  refusals: 'close',
  maxConnections: 10_000,
  handshakeTimeout: 5_000,
  unclaimedTimeout: 500,
  trustProxy: ['loopback', '10.0.0.0/8'],
  shouldHandle: (request) => request.url !== '/hmr',
  onError: (error, { request, socket }) => console.error(error, request?.url, socket?.readyState),
});
new Upgrader({ checkOrigin: sameOrigin(), trustProxy: (address, hop) => address === '::1' && hop === 0 });
new Upgrader({ checkOrigin: anyOrigin(), subprotocols: async (offered, request) => offered.find(() => request.url) });
new Upgrader({ checkOrigin: async (origin, request) => origin === request.headers.host });
upgrader.route('/feeds', { checkOrigin: (_origin, request) => request.query.key === '1' }, () => {});
// @ts-expect-error: a list of whole origins is what allowOrigins() takes
new Upgrader({ checkOrigin: ['https://example.com'] });
// @ts-expect-error: bytes are a number
new Upgrader({ maxPayload: '1 MiB' });
// @ts-expect-error: a subprotocol is a string
new Upgrader({ subprotocols: [1] });
// @ts-expect-error: no such option
new Upgrader({ maxPayloud: 1024 });
// @ts-expect-error: a slow consumer is not ignored
new Upgrader({ slowConsumer: 'ignore' });
// @ts-expect-error: the trust in proxies is the server's, not a route's
upgrader.route('/trusting', { trustProxy: true }, () => {});
// @ts-expect-error: a verdict is a boolean
upgrader.route('/verdict', { checkOrigin: () => 'yes' }, () => {});

// A message to many goes to connections of whatever data.
const room = new Set<Connection<{ name: string }>>();
upgrader.route('/named', { beforeUpgrade: () => ({ name: 'ada' }) }, (socket) => {
  room.add(socket);
  same<number>()(upgrader.broadcast(room, 'hello', { except: socket }));
});
upgrader.broadcast(upgrader.connections, new Uint8Array(2), { binary: false });
upgrader.broadcast((socket) => socket.path === '/named', 'hello');
// @ts-expect-error: a message is text or bytes
upgrader.broadcast(room, { text: 'hello' });

// Every kind of Node server is attached in the same way.
upgrader.attach(createHttpServer()).detach(createHttpServer());
upgrader.attach(createHttpsServer());
upgrader.attach(createSecureServer({ allowHTTP1: true })).detach(createSecureServer());
upgrader.attach(createHttpServer().listen(0));
// @ts-expect-error: a port is no server
upgrader.attach(8080);

same<Promise<void>>()(upgrader.close({ code: 1001, reason: 'restart', timeout: 10_000 }));
for (const connection of upgrader.connections) connection.ping();
// @ts-expect-error: the set of connections is only to be read
upgrader.connections.clear();

// @ts-expect-error: a refusal has a status
new Refusal();
// @ts-expect-error: a header is a string, or a list of them
new Refusal(429, { headers: { 'Retry-After': 5 } });
