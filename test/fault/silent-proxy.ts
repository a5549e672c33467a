import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy that can fall silent: as of then nothing comes through, and neither side learns of it. */
export class SilentProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(targetPort: number): Promise<SilentProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new SilentProxy(server);
    server.on('connection', (near) => {
      const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      near.pipe(far);
      far.pipe(near);
      for (const socket of [near, far]) {
        socket.on('error', () => {});
        proxy.#sockets.add(socket);
      }
    });
    await once(server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }), 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Reads no more from either side, and closes nothing. */
  fallSilent(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  end(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
