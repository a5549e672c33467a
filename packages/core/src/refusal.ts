import { type ServerResponse, STATUS_CODES } from 'node:http';
import { UpgradeHeaders } from './headers.js';

export interface RefusalOptions {
  /** Headers of the response, each value a string or a list of them. Checked: what cannot be sent throws `INVALID_HEADER`. */
  headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The whole body. Default: the status text, as `text/plain`. */
  body?: string | Uint8Array;
  /** A stable word for programs that watch. Default: `REFUSED_<status>`. */
  code?: string;
  /** What led to it; never sent to the client. */
  cause?: unknown;
}

/**
 * The answer "no" to an upgrade: a whole HTTP response. Throw it from `beforeUpgrade` or `checkOrigin`, or hand it to a
 * framework's error handling, which knows it by `status`, `statusCode` and `headers`.
 *
 * It is an expected answer and no fault, so it carries no stack and is cheap to make.
 *
 * @example
 * throw new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'log in first' });
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** The HTTP status, 400 to 599 (3xx where a redirect is meant). */
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string | Uint8Array;

  constructor(status: number, { headers = {}, body, code = `REFUSED_${status}`, cause }: RefusalOptions = {}) {
    if (!Number.isInteger(status) || status < 300 || status > 599) {
      throw new RangeError(`A refusal needs a status from 300 to 599; ${status} is none.`);
    }
    const text = STATUS_CODES[status] ?? 'Refused';
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(typeof body === 'string' && body !== '' ? body : text, cause === undefined ? undefined : { cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.status = status;
    this.code = code;
    this.headers = withContentType(headers, body);
    this.body = body ?? text;
    UpgradeHeaders.check(headers);
  }

  /** The same number under the name that Fastify and many Express error handlers look for. */
  get statusCode(): number {
    return this.status;
  }

  /**
   * Sends it as the response of a framework or an ordinary request, beside the headers that are set there already, but for
   * those that describe another body.
   */
  sendThrough(response: ServerResponse): void {
    for (const name of ['Content-Encoding', 'Content-Language', 'Content-Range']) response.removeHeader(name);
    const isHttp2 = response.req?.httpVersionMajor === 2;
    for (const [name, value] of Object.entries(this.headers)) {
      if (!isHttp2 || !ofHttp1.test(name)) response.setHeader(name, value);
    }
    response.statusCode = this.status;
    response.setHeader('Content-Length', Buffer.byteLength(this.body));
    response.end(this.body);
  }

  /** The refusal as the bytes of one HTTP/1.1 response, after which the connection ends (RFC 9112 section 9.6). */
  serialize({ withBody = true } = {}): Buffer {
    const body = Buffer.from(this.body as Uint8Array);
    const lines = [`HTTP/1.1 ${this.status} ${STATUS_CODES[this.status] ?? 'Refused'}`, 'Connection: close'];
    for (const [name, value] of Object.entries(this.headers)) {
      if (/^(connection|content-length|transfer-encoding)$/i.test(name)) continue;
      for (const one of typeof value === 'string' ? [value] : value) lines.push(`${name}: ${one}`);
    }
    lines.push(`Content-Length: ${body.length}`, '', '');
    const head = Buffer.from(lines.join('\r\n'), 'latin1');
    return withBody ? Buffer.concat([head, body]) : head;
  }
}

/** What HTTP/2 has other means for, and forbids (RFC 9113 section 8.2.2). */
const ofHttp1 = /^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/i;

function withContentType(headers: Refusal['headers'], body: RefusalOptions['body']): Refusal['headers'] {
  if (body instanceof Uint8Array || Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')) {
    return headers;
  }
  return { 'Content-Type': 'text/plain; charset=utf-8', ...headers };
}
