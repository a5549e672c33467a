import type { Server } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import { Server as TlsServer } from 'node:tls';
import type { Connection } from './connection.js';
import { type DialOptions, dial } from './dial.js';

/** What `dial` takes, but for what concerns the way to a server. */
export type InjectOptions = Omit<
  DialOptions,
  'agent' | 'createConnection' | 'lookup' | 'family' | 'localAddress' | 'proxy' | 'followRedirects' | 'maxRedirects'
>;

/**
 * Opens a WebSocket to a server without a port: the handshake and all that follows go over a pair of streams in this
 * process, through the same code as over a network. The server need not listen. Gives the client's `Connection`; rejects
 * with `HandshakeRefused` (`status`, `headers`, `body`) where it is refused, and as `dial` does otherwise.
 *
 * @param path with its query, such as `/rooms/1?name=Ada`. The client is 127.0.0.1 and calls the server `localhost`.
 * @example
 * const socket = await inject(server, '/echo', { origin: 'http://localhost' });
 * socket.send('hello');
 * expect(await socket.receive()).toBe('hello');
 * await expect(inject(server, '/echo', { origin: 'http://evil.example' })).rejects.toMatchObject({ status: 403 });
 */
export function inject(server: Server, path: string, options: InjectOptions = {}): Promise<Connection> {
  return dial(`ws://localhost${path}`, { ...options, createConnection: () => connectInProcess(server) as never });
}

/** The client's end of a connection to a server, as if it had just accepted one. A server with TLS gets it past that. */
export function connectInProcess(server: Server): Duplex {
  const [near, far] = duplexPair();
  near.once('close', () => far.destroy());
  far.once('close', () => near.destroy());
  const secure = server instanceof TlsServer;
  Object.assign(far, { remoteAddress: '127.0.0.1', server }, secure && { encrypted: true, alpnProtocol: 'http/1.1' });
  server.emit(secure ? 'secureConnection' : 'connection', far);
  return near;
}
