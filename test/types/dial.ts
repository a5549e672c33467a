import { type Connection, dial, HandshakeRefused, type Message, reconnecting } from '@drawbridge/core';
import { CookieJar } from 'tough-cookie';
import type { WebSocket } from 'ws';
import { same } from './same.js';

const socket = await dial('ws://localhost:8080/echo', {
  subprotocols: ['v1.chat'] as const,
  headers: { Authorization: 'Bearer token', 'X-Several': ['one', 'two'] },
  origin: 'https://example.com',
  timeout: 5_000,
  signal: AbortSignal.timeout(5_000),
  proxy: 'environment',
  cookies: new CookieJar(),
  followRedirects: true,
  ca: ['certificate', Buffer.from('certificate')],
  rejectUnauthorized: true,
  servername: 'example.com',
  heartbeat: { interval: 10_000 },
  onError: (_error, { socket }) => socket?.terminate(),
});
same<Connection>()(socket);
const ws: WebSocket = socket;
ws.send('as ws sends');
same<Promise<Message>>()(socket.receive({ timeout: 1_000 }));
same<string[] | undefined>()(socket.responseHeaders?.['set-cookie']);

await dial(new URL('wss://localhost'), { cookies: { session: 'abc' }, proxy: new URL('http://proxy:3128') });
// @ts-expect-error: an address, or none
await dial();
// @ts-expect-error: a list, as everywhere
await dial('ws://localhost', { subprotocols: 'v1.chat' });
// @ts-expect-error: ws's name for what is `timeout` here
await dial('ws://localhost', { handshakeTimeout: 1_000 });
// @ts-expect-error: whose connection it becomes is the server's to check
await dial('ws://localhost', { checkOrigin: () => true });

dial('ws://localhost').catch((error: unknown) => {
  if (!(error instanceof HandshakeRefused)) throw error;
  same<number>()(error.status);
  same<string>()(error.body);
  same<string | undefined>()(error.headers['retry-after']);
  same<'HANDSHAKE_REFUSED' | 'PROXY_REFUSED'>()(error.code);
});

const link = reconnecting('ws://localhost', {
  backoff: 100,
  maxDelay: 10_000,
  maxUnsentMessages: 10,
  async onOpen(socket) {
    for await (const message of socket) same<Message>()(message);
  },
  onWait: ({ delay, attempt, cause }) => console.log(delay + attempt, cause.message),
});
link.send('text');
link.send(new Uint8Array(8), { binary: true });
same<Connection | undefined>()(link.socket);
same<Error | undefined>()(await link.closed);
