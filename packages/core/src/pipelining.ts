import type { Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ignore } from './pending.js';
import { demandProgress } from './progress.js';
import { drained } from './response-drain.js';

/** Node keeps the response that is being written on its socket here, and whose it is. */
type ServerSocket = Duplex & {
  _httpMessage?: ServerResponse | null;
  server?: Server;
  setTimeout?(timeout: number): void;
  _readableState?: { ended: boolean };
};

/**
 * Does `proceed` when the responses to earlier requests of this connection have been written: a client may send its
 * handshake behind requests that are not answered yet, and answers go out in the order of requests (RFC 9112 section 9.3.2).
 */
export function afterEarlierResponses(socket: ServerSocket, proceed: () => void): void {
  const earlier = socket._httpMessage;
  if (!earlier) return proceed();
  const stop = stayWith(socket, earlier);
  earlier.once('finish', () => {
    if (socket.readableEnded) endUnlessAnswering(socket);
    // It ends with this answer, and may still fail until it has.
    if (!socket.writable) return;
    stop();
    // Node has begun to count the time until a next request, which is here already.
    socket.setTimeout?.(socket.server?.timeout ?? 0);
    afterEarlierResponses(socket, proceed);
  });
}

/**
 * Node's server has let go of the socket with the upgrade, so what it does for a response is done here as long as one is
 * being written: the application hears when it may go on, when its time is up, and that nobody is there any more.
 */
function stayWith(socket: ServerSocket, earlier: ServerResponse): () => void {
  const timer = demandProgress(socket);
  const listeners = {
    error: ignore,
    drain: () => drained(earlier),
    timeout: () => {
      const isHeard = earlier.emit('timeout', socket);
      if (!socket.server?.emit('timeout', socket) && !isHeard) socket.destroy();
    },
    readable: () => lookForEnd(socket),
    end: () => endUnlessAnswering(socket),
    close: () => {
      clearInterval(timer);
      if (!earlier.writableFinished) earlier.req.destroy(aborted());
    },
  };
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
  // Node stops reading from who has many answers to take, and has given away who would have started it again.
  socket._read(0);
  return () => {
    clearInterval(timer);
    for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
  };
}

/** Early bytes stay for the WebSocket; but where the end stands behind them there will be none, and they must not hide it. */
function lookForEnd(socket: ServerSocket): void {
  if (socket._readableState?.ended) socket.read();
  else if (socket.readableLength === 0) socket.read(0);
}

/** Half-closed: no WebSocket can come of it, but an answer that is on its way may still be read. */
function endUnlessAnswering(socket: ServerSocket): void {
  if (!socket._httpMessage?.headersSent) socket.end();
}

/** What Node tells a request whose client has gone. */
function aborted(): Error {
  return Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
}
