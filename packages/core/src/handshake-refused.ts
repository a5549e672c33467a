import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** What is kept of the body of a refusal, in bytes. */
const MAX_BODY = 1024 * 1024;

/**
 * The server, or the proxy on the way to it, answered a handshake with an ordinary HTTP response: what `dial` rejects with.
 *
 * @example
 * try {
 *   await dial('wss://chat.example.com/rooms/1');
 * } catch (error) {
 *   if (error instanceof HandshakeRefused && error.status === 401) await logIn(error.body);
 * }
 */
export class HandshakeRefused extends Error {
  override readonly name = 'HandshakeRefused';
  /** Who refused: the server, or the proxy that was to lead there. */
  readonly code: 'HANDSHAKE_REFUSED' | 'PROXY_REFUSED';
  /** The HTTP status. */
  readonly status: number;
  /** The headers of the response, their names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The body of the response, as UTF-8. */
  readonly body: string;
  /** Whether `body` is not all of it: it was longer than 1 MiB, or the time was up, or the connection broke. */
  readonly truncated: boolean;

  /** @internal */
  constructor(code: HandshakeRefused['code'], response: IncomingMessage, body: string, truncated: boolean) {
    const { statusCode = 0, statusMessage = '', headers } = response;
    const who = code === 'PROXY_REFUSED' ? 'The proxy' : 'The server';
    super(`${who} refused the handshake: ${statusCode} ${statusMessage}`.trimEnd());
    this.code = code;
    this.status = statusCode;
    this.headers = headers;
    this.body = body;
    this.truncated = truncated;
  }

  /** @internal Reads the response to its end, or as far as it goes; never rejects. */
  static async from(byProxy: boolean, response: IncomingMessage): Promise<HandshakeRefused> {
    const chunks: Buffer[] = [];
    let size = 0;
    let whole = true;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > MAX_BODY) break;
      }
    } catch {
      whole = false;
    }
    const body = Buffer.concat(chunks).subarray(0, MAX_BODY).toString();
    return new HandshakeRefused(
      byProxy ? 'PROXY_REFUSED' : 'HANDSHAKE_REFUSED',
      response,
      body,
      !whole || size > MAX_BODY,
    );
  }
}
