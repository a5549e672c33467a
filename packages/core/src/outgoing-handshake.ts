import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Connection, type ConnectionOptions } from './connection.js';
import type { Deadline } from './deadline.js';
import { dialFailure, type Stage } from './dial-failure.js';
import { HandshakeRefused } from './handshake-refused.js';
import type { CompiledLife } from './life.js';

export interface OutgoingOptions extends CompiledLife {
  headers: Record<string, string | string[]>;
  subprotocols: string[];
  agent?: Agent | boolean | undefined;
  /** Whether the agent is a proxy's. */
  throughProxy: boolean;
}

/** How far a handshake has come. `ws` tells nobody, so the request itself is followed. */
class Progress {
  stage: Stage;
  proxyRefused = false;

  constructor({ throughProxy, agent }: OutgoingOptions) {
    this.stage = throughProxy ? 'proxy' : agent ? 'connecting' : 'preparing';
  }

  follow(request: ClientRequest): void {
    request.once('proxyConnect', ({ statusCode }: IncomingMessage) => {
      this.proxyRefused = statusCode !== 200;
    });
    request.once('socket', (socket) => {
      this.stage = 'connecting';
      if (socket.connecting) socket.once('connect', () => this.#connected(socket));
      else this.#connected(socket);
    });
  }

  #connected(socket: Socket): void {
    const secure = socket instanceof TLSSocket;
    this.stage = secure ? 'securing' : 'asking';
    if (secure) {
      socket.once('secureConnect', () => {
        this.stage = 'asking';
      });
    }
  }
}

/**
 * One handshake with one server. Resolves when the connection is open; rejects with the `HandshakeRefused`, with what the
 * deadline says, or with what `dialFailure` makes of the error. Whichever way it ends, nothing stays open.
 */
export function sendHandshake(url: URL, options: OutgoingOptions, deadline: Deadline): Promise<Connection> {
  const { subprotocols, ...clientOptions } = options;
  const { signal } = deadline;
  const progress = new Progress(options);
  const finishRequest = (request: ClientRequest): void => {
    progress.follow(request);
    request.end();
  };
  return new Promise((resolve, reject) => {
    const connection = construct(url, subprotocols, { ...clientOptions, finishRequest, signal } as ConnectionOptions);
    let answer: IncomingMessage | undefined;
    const onError = (error: Error): void => {
      reject(signal.aborted ? signal.reason : dialFailure(error, progress.stage, url.host));
    };
    connection.on('error', onError);
    connection.once('upgrade', (response) => {
      progress.stage = 'answered';
      answer = response;
    });
    connection.once('unexpected-response', async (_request, response) => {
      connection.off('error', onError);
      if (response.statusCode === 101) {
        reject(dialFailure(new Error('its 101 names no upgrade'), 'answered', url.host));
      } else {
        const refused = await HandshakeRefused.from(progress.proxyRefused, response);
        reject(signal.reason?.code === 'DIAL_ABORTED' ? signal.reason : refused);
      }
      connection.terminate();
    });
    connection.once('open', () => {
      deadline.lift();
      connection.removeAllListeners();
      const { socket, headers } = answer as IncomingMessage;
      connection.begin(socket, headers);
      resolve(connection);
    });
  });
}

function construct(url: URL, subprotocols: string[], options: ConnectionOptions): Connection {
  try {
    return new Connection(url, subprotocols, options);
  } catch (error) {
    throw dialFailure(error as Error, 'preparing', url.host);
  }
}
