import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { Connection } from './connection.js';
import { checkExtensions } from './extensions.js';
import type { CompiledLife } from './life.js';
import type { Refusal } from './refusal.js';

/** What `ws` looks at of a request. It checks the handshake anew, so it is shown one in the one form that it knows. */
interface CheckedHandshake {
  method: 'GET';
  headers: {
    upgrade: 'websocket';
    'sec-websocket-version': '13';
    'sec-websocket-key': string | undefined;
    'sec-websocket-extensions': string | undefined;
    'sec-websocket-protocol': string | undefined;
  };
  extraLines: readonly string[];
}

/** Where an upgrade leaves HTTP: writes the 101 and hands the socket to `ws`, with the options of one route. */
export class Acceptor {
  readonly #server: WebSocketServer;
  readonly #perMessageDeflate: CompiledLife['perMessageDeflate'];

  constructor(options: CompiledLife) {
    this.#server = new WebSocketServer({
      ...options,
      noServer: true,
      clientTracking: false,
      WebSocket: Connection as unknown as typeof WebSocket,
    });
    this.#perMessageDeflate = options.perMessageDeflate;
    this.#server.on('headers', addExtraLines as never);
  }

  /** Gives the refusal of a handshake that `ws` would not take with these options. */
  check({ headers }: IncomingMessage): Refusal | undefined {
    return checkExtensions(headers['sec-websocket-extensions'], this.#perMessageDeflate);
  }

  /** `undefined` if the client has gone already. `extraLines`: header fields for the 101, checked by whoever gives them. */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    subprotocol: string | undefined,
    extraLines: readonly string[],
  ): Connection<unknown> | undefined {
    const { headers } = request;
    const handshake: CheckedHandshake = {
      method: 'GET',
      headers: {
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': headers['sec-websocket-key'],
        'sec-websocket-extensions': headers['sec-websocket-extensions'],
        'sec-websocket-protocol': subprotocol,
      },
      extraLines,
    };
    let connection: Connection<unknown> | undefined;
    this.#server.handleUpgrade(handshake as unknown as IncomingMessage, socket, head, (accepted) => {
      connection = accepted as Connection<unknown>;
    });
    try {
      connection?.begin(socket);
    } catch (error) {
      // The 101 is out, and nobody else will ever hear of this connection.
      socket.destroy();
      throw error;
    }
    return connection;
  }
}

function addExtraLines(lines: string[], { extraLines }: CheckedHandshake): void {
  for (const line of extraLines) lines.push(line);
}
