import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { onTestFinished } from 'vitest';
import { type ClientOptions, WebSocket } from 'ws';
import type { Front } from './front.js';

/** Where visitors come from: an address of this machine that is not the proxy's. */
export const visitorAddress = '127.0.0.2';

export const publicOrigin = 'https://example.com';

/** A client of the public site: it knows it by its name and checks its certificate, as a browser does. */
export function visit({ port, ca }: Front, path: string, headers: Record<string, string> = {}): WebSocket {
  const reached: ClientOptions & TlsOptions = {
    ca,
    servername: 'example.com',
    localAddress: visitorAddress,
    headers: { Host: 'example.com', ...headers },
  };
  const socket = new WebSocket(`wss://127.0.0.1:${port}${path}`, reached);
  onTestFinished(() => socket.terminate());
  return socket;
}

/** What the visitor gets: 101 and the first message, or the refusal's status and body. */
export async function hear(front: Front, path: string, headers?: Record<string, string>): Promise<[number, string]> {
  const socket = visit(front, path, headers);
  const message = once(socket, 'message').then(([data]): [number, string] => [101, String(data)]);
  const refusal = new Promise<[number, string]>((resolve, reject) => {
    socket.on('unexpected-response', (_request: ClientRequest, response: IncomingMessage) => {
      text(response).then((body) => resolve([response.statusCode ?? 0, body]), reject);
    });
  });
  return Promise.race([message, refusal]);
}
