import type { IncomingMessage } from 'node:http';

const PREFIX = /^bearer\./i;
const FIELD = 'sec-websocket-protocol';

/** Tokens that came as a subprotocol, beside the requests that they were taken from. */
const hidden = new WeakMap<IncomingMessage, string>();

/**
 * The bearer token of a request (RFC 6750 section 2.1): from the `Authorization` header or, since a browser cannot set that
 * on a WebSocket, from an offered subprotocol `bearer.<token in base64url>`. `undefined` if there is none, or more than one
 * subprotocol of that kind. The header comes first where both are there.
 *
 * Such a subprotocol is taken out of the request as it arrives: it is never chosen, never echoed, and stands in no log and no
 * diagnostics message. A page must offer a real subprotocol beside it, for a browser gives up when none is chosen.
 *
 * @example
 * // In the page: new WebSocket(url, ['v1.chat', `bearer.${base64url(token)}`])
 * upgrader.route('/chat', {
 *   subprotocols: ['v1.chat'],
 *   async beforeUpgrade(request) {
 *     const user = await verify(bearerToken(request));
 *     if (!user) throw new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' } });
 *     return user;
 *   },
 * }, chat);
 */
export function bearerToken(request: IncomingMessage | { raw: IncomingMessage }): string | undefined {
  const message = 'raw' in request ? request.raw : request;
  const [, token] = /^bearer +([!-~]+) *$/i.exec(message.headers.authorization ?? '') ?? [];
  return token ?? hidden.get(message);
}

/** Takes the token out of the subprotocols that a request offers. */
export function hideBearerToken(request: IncomingMessage): void {
  const field = request.headers[FIELD];
  if (!field || !/bearer\./i.test(field)) return;
  const offered = field.split(',').map((one) => one.trim());
  const tokens = offered.filter((one) => PREFIX.test(one));
  if (tokens.length === 0) return;
  const token = tokens.length === 1 ? decode(tokens[0] as string) : undefined;
  if (token) hidden.set(request, token);
  leaveOnly(request, offered.filter((one) => !PREFIX.test(one)).join(', '));
}

function decode(subprotocol: string): string | undefined {
  const token = Buffer.from(subprotocol.replace(PREFIX, ''), 'base64url').toString();
  return /^[!-~]+$/.test(token) ? token : undefined;
}

function leaveOnly(request: IncomingMessage, field: string): void {
  const { rawHeaders } = request;
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if ((rawHeaders[i] as string).toLowerCase() === FIELD) rawHeaders.splice(i, 2);
  }
  delete request.headers[FIELD];
  if (field === '') return;
  request.headers[FIELD] = field;
  rawHeaders.push('Sec-WebSocket-Protocol', field);
}
