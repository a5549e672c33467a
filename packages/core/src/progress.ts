import type { Duplex } from 'node:stream';

/** How long a client may take nothing of what it is owed, in milliseconds. */
const PATIENCE = 10_000;

/**
 * Destroys a socket whose client has taken nothing for ten seconds, though something was there for it or it has half-closed.
 * Else the application may take the time that it needs for what comes next. Goes on until it is cleared.
 */
export function demandProgress(socket: Duplex): NodeJS.Timeout {
  let last = { taken: takenFrom(socket), owed: isOwed(socket) };
  return setInterval(() => {
    const now = { taken: takenFrom(socket), owed: isOwed(socket) };
    if (now.owed && last.owed && now.taken === last.taken) socket.destroy();
    last = now;
  }, PATIENCE);
}

function isOwed(socket: Duplex): boolean {
  return socket.writableLength > 0 || socket.writableEnded || socket.readableEnded;
}

type Handle = { bytesWritten: number; writeQueueSize: number; _parent?: Handle };

/** How many bytes the system has taken: as Node's own timeout, by the handle's queue, for one long write is one to the stream. */
function takenFrom(socket: Duplex & { bytesWritten?: number; _handle?: Handle | null }): number {
  const handle = socket._handle?._parent ?? socket._handle;
  if (handle?.writeQueueSize === undefined) return (socket.bytesWritten ?? 0) - socket.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}
