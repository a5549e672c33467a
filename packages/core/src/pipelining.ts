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
  const stop = stayWith(socket, earlier);
  earlier.once('finish', () => {
    stop();
    if (socket.writable) afterEarlierResponses(socket, proceed);
  });
}

/**
 * Node's server has let go of the socket with the upgrade, so what it does for a response is done here as long as one is
 * being written: it hears when it may go on, and, by the socket's end, that nobody is there any more.
 */
function stayWith(socket: Duplex, earlier: ServerResponse): () => void {
  const onDrain = (): void => void earlier.emit('drain');
  const onEnd = (): void => void socket.destroy();
  const onReadable = (): void => {
    if (socket.readableLength === 0) socket.read(0);
  };
  socket.on('error', ignore).on('drain', onDrain).on('end', onEnd).on('readable', onReadable);
  return () => void socket.off('error', ignore).off('drain', onDrain).off('end', onEnd).off('readable', onReadable);
}
