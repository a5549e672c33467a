import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Connection } from '@drawbridge/core';

/** TCP can end one direction and go on in the other; WebSocket cannot, so this text says it. All else is binary. */
const END = 'end';

/** How long a silent target has to end when there is nobody any more to hear it, in milliseconds. */
const LINGER = 1_000;

/** Carries bytes both ways, no faster than either side takes them, until both have ended. */
export async function carry(socket: Connection<Socket>, tcp: Socket): Promise<void> {
  socket.closed.then(() => tcp.setTimeout(LINGER, () => tcp.destroy()));
  try {
    await Promise.all([pipeline(bytesFrom(socket), tcp), send(tcp, socket)]);
    socket.close(1000, 'Both sides have ended.');
  } catch {
    tcp.destroy();
    socket.close(1014, 'The target broke off.'); // which nobody hears if it was the page that has gone
  }
}

async function* bytesFrom(socket: Connection<Socket>): AsyncGenerator<Buffer> {
  for await (const message of socket) {
    if (message === END) return;
    if (typeof message === 'string') return socket.close(1003, 'Bytes come as binary messages.');
    yield message;
  }
}

async function send(tcp: Socket, socket: Connection<Socket>): Promise<void> {
  // A loop over the socket itself would close both directions when one has ended.
  for await (const bytes of tcp.iterator({ destroyOnReturn: false })) {
    socket.send(bytes);
    await socket.drained();
  }
  socket.send(END);
}
