import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ignore } from './pending.js';

/** Node keeps the response that is being written on its socket here. */
type ServerSocket = Duplex & { _httpMessage?: ServerResponse | null };

/**
 * Does `proceed` when the responses to earlier requests of this connection have been written: a client may send its
 * handshake behind requests that are not answered yet, and answers go out in the order of requests (RFC 9112 section 9.3.2).
 */
export function afterEarlierResponses(socket: ServerSocket, proceed: () => void): void {
  const earlier = socket._httpMessage;
  if (!earlier) return proceed();
  socket.on('error', ignore);
  earlier.once('finish', () => {
    if (!socket.writable) return;
    socket.off('error', ignore);
    afterEarlierResponses(socket, proceed);
  });
}
