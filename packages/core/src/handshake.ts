import type { IncomingMessage } from 'node:http';
import { Refusal } from './refusal.js';

const keyShape = /^[+/0-9A-Za-z]{22}==$/;
const hostShape = /^(?:\[[\dA-Fa-f:.]+\]|[\w.~!$&'()*+;=%-]+)(?::\d*)?$/;

/** Whether an `Upgrade` or `Connection` field lists the token, whatever its case (RFC 9110 section 5.6.1). */
export function listsToken(field: string | undefined, token: string): boolean {
  if (field === undefined) return false;
  if (field.length === token.length) return field.toLowerCase() === token;
  return field.split(',').some((one) => one.trim().toLowerCase() === token);
}

/** Whether the request asks for this server's WebSocket, rather than for h2c or another protocol. */
export function asksForWebSocket(request: IncomingMessage): boolean {
  return listsToken(request.headers.upgrade, 'websocket');
}

/**
 * What RFC 6455 section 4.2.1 demands of a client's opening handshake, and what HTTP itself demands of its target and
 * Host (RFC 9112 section 3.2). Gives the refusal of the first thing that is wrong.
 */
export function checkHandshake(request: IncomingMessage): Refusal | undefined {
  const { headers } = request;
  if (request.method !== 'GET') {
    return new Refusal(405, { headers: { Allow: 'GET' }, body: 'A WebSocket handshake is a GET request.' });
  }
  if (request.httpVersionMajor < 1 || (request.httpVersionMajor === 1 && request.httpVersionMinor < 1)) {
    return bad('A WebSocket handshake needs HTTP/1.1.');
  }
  if (!hasOneHost(request)) return bad('A WebSocket handshake needs exactly one valid Host header.');
  if (!isOriginForm(request.url)) return bad('The request target must be a path, correctly percent-encoded.');
  if (!listsToken(headers.connection, 'upgrade')) return bad('The Connection header must list "Upgrade".');
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') {
    return bad('A WebSocket handshake has no body.');
  }
  if (headers['sec-websocket-version'] !== '13') {
    return new Refusal(426, {
      headers: { 'Sec-WebSocket-Version': '13', Upgrade: 'websocket' },
      body: 'This server speaks version 13 of the WebSocket protocol.',
    });
  }
  if (!keyShape.test(headers['sec-websocket-key'] ?? '')) {
    return bad('A WebSocket handshake needs exactly one Sec-WebSocket-Key of 16 bytes in base64.');
  }
  return undefined;
}

/**
 * Whether Node has kept all headers of a request: from the `maxHeadersCount`-th on it drops them without a word, though its
 * parser has gone by them (a Content-Length, say), so a request that has so many is not known as it is.
 * @param maxHeadersCount of the server; Node's default is 1 000, and 0 is no limit.
 */
export function hasAllHeaders({ rawHeaders }: IncomingMessage, maxHeadersCount: number | null = null): boolean {
  const limit = maxHeadersCount ?? 1_000;
  return limit <= 0 || rawHeaders.length < limit * 2;
}

/** The refusal of a request that has more headers than Node keeps (RFC 6585 section 5). */
export function tooManyHeaders(): Refusal {
  return new Refusal(431, { code: 'TOO_MANY_HEADERS', body: 'This request has too many headers.' });
}

/** The answer to an ordinary HTTP request for a resource that speaks only WebSocket (RFC 9110 section 15.5.22). */
export function upgradeRequired(): Refusal {
  return new Refusal(426, { headers: { Upgrade: 'websocket' }, body: 'This resource speaks WebSocket only.' });
}

function bad(body: string): Refusal {
  return new Refusal(400, { body });
}

/** Node keeps the first of several Host fields, so only the raw list can show that there were two. */
function hasOneHost(request: IncomingMessage): boolean {
  let count = 0;
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') count++;
  }
  return count === 1 && hostShape.test(request.headers.host ?? '');
}

function isOriginForm(target: string | undefined): boolean {
  if (target === undefined || !target.startsWith('/')) return false;
  if (!target.includes('%')) return true;
  const query = target.indexOf('?');
  try {
    decodeURIComponent(query === -1 ? target : target.slice(0, query));
    return true;
  } catch {
    return false;
  }
}
