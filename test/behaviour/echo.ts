import type { Connection } from '@drawbridge/core';

/** The handler of the routes that answer each message with itself. */
export function echo(socket: Connection<unknown>): void {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
}
