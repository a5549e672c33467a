import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import type { Site } from './hosts/index.js';

/** Opens a WebSocket with `ws`, as a Node program would; rejects if it is refused. */
export async function dial(
  site: Site,
  path: string,
  { protocols = [], ...options }: ClientOptions & { protocols?: string[] } = {},
): Promise<WebSocket> {
  const url = `${site.secure ? 'wss' : 'ws'}://${site.authority}${path}`;
  const socket = new WebSocket(url, protocols, { rejectUnauthorized: false, ...options });
  await once(socket, 'open');
  return socket;
}

/** Sends a text and gives the next message that comes, as text. */
export async function exchange(socket: WebSocket, text: string): Promise<string> {
  const answer = once(socket, 'message');
  socket.send(text);
  return String((await answer)[0]);
}
