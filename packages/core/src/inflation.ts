import type { WebSocket } from 'ws';

/** What `ws` keeps of a negotiated permessage-deflate. It shows it nowhere, so what is not as expected is left alone. */
interface Deflate {
  decompress(data: Buffer, fin: boolean, done: (error: Error | null, data?: Buffer) => void): void;
}

/**
 * Lets each compressed message wait before it is inflated: a packet of a few kilobytes can hold dozens of messages of a
 * megabyte each, and pausing the socket does not stop `ws` from unpacking what has arrived already.
 */
export function gateInflation(socket: WebSocket, whenRoom: (proceed: (closed: boolean) => void) => void): void {
  const deflate = (socket as unknown as { _extensions?: Record<string, Deflate> })._extensions?.['permessage-deflate'];
  if (typeof deflate?.decompress !== 'function') return;
  const decompress = deflate.decompress;
  deflate.decompress = (data, fin, done) => {
    whenRoom((closed) => {
      if (closed) return done(new Error('The connection was closed before this message could be unpacked.'));
      decompress.call(deflate, data, fin, done);
    });
  };
}
