import type { ClientRequest, IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { Connection } from './connection.js';
import type { Deadline } from './deadline.js';
import { dialFailure, type Stage } from './dial-failure.js';
import { DrawbridgeError } from './errors.js';
import { HandshakeRefused } from './handshake-refused.js';
import type { CompiledLife } from './life.js';

export interface OutgoingOptions extends CompiledLife {
  headers: Record<string, string | string[]>;
  subprotocols: string[];
  throughProxy: boolean;
}

/**
 * One handshake with one server. Resolves when the connection is open; rejects with the `HandshakeRefused`, with what the
 * deadline says, or with what `dialFailure` makes of the error. Whichever way it ends, nothing stays open.
 */
export function sendHandshake(url: URL, options: OutgoingOptions, deadline: Deadline): Promise<Connection> {
  const { subprotocols, throughProxy, ...clientOptions } = options;
  let stage: Stage = throughProxy ? 'proxy' : 'connecting';
  let proxyRefused = false;
  let answer: IncomingMessage | undefined;

  /** Follows the request, which `ws` shows nowhere else. */
  const finishRequest = (request: ClientRequest): void => {
    request.once('proxyConnect', ({ statusCode }: IncomingMessage) => {
      proxyRefused = statusCode !== 200;
    });
    request.once('socket', (socket) => {
      const next = (): void => {
        stage = socket instanceof TLSSocket ? 'securing' : 'asking';
      };
      if (socket.connecting) socket.once('connect', next);
      else next();
      socket.once('secureConnect', () => {
        stage = 'asking';
      });
    });
    request.end();
  };

  return new Promise((resolve, reject) => {
    const connection = construct(url, subprotocols, { ...clientOptions, finishRequest, signal: deadline.signal });
    const onError = (error: Error): void => {
      const { aborted, reason } = deadline.signal;
      reject(aborted ? reason : dialFailure(error, stage, url.host));
    };
    connection.on('error', onError);
    connection.once('upgrade', (response) => {
      stage = 'answered';
      answer = response;
    });
    connection.once('unexpected-response', async (_request, response) => {
      connection.off('error', onError);
      const refused = await HandshakeRefused.from(proxyRefused ? 'PROXY_REFUSED' : 'HANDSHAKE_REFUSED', response);
      connection.terminate();
      const { reason } = deadline.signal;
      reject(reason instanceof DrawbridgeError && reason.code === 'DIAL_ABORTED' ? reason : refused);
    });
    connection.once('open', () => {
      deadline.lift();
      connection.removeAllListeners();
      const { socket, headers } = answer as IncomingMessage;
      connection.begin(socket, undefined, headers);
      resolve(connection);
    });
  });
}

function construct(url: URL, subprotocols: string[], options: object): Connection {
  try {
    return new Connection(url, subprotocols, options as ConstructorParameters<typeof Connection>[2]);
  } catch (cause) {
    throw new DrawbridgeError('INVALID_OPTION', `This cannot be dialled: ${(cause as Error).message}.`, { cause });
  }
}
