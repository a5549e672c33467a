import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { listsToken } from './handshake.js';
import { ignore } from './pending.js';

/**
 * Serves a request that asks for another protocol than WebSocket (h2c from curl or Java's HttpClient) as the ordinary HTTP
 * request that it also is (RFC 9110 section 7.8). Node has stopped parsing the connection at this request, so its head is
 * put back in front of what follows, without the wish to upgrade, and the server takes the connection up anew: body,
 * keep-alive and all. (`shouldUpgradeCallback` of Node 24.9 is no substitute: where it says no, bytes that came in one
 * packet behind the body are lost.)
 */
export function serveAsOrdinaryRequest(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  if (!request.complete || request.readableLength > 0) return serveBeforeRest(server, request, socket, head);
  socket.unshift(Buffer.concat([headWithoutUpgrade(request), head]));
  takeUpAnew(server, request, socket);
}

/** Since Node 26 the body stays with the request, and the socket gives only what comes behind it. */
function serveBeforeRest(server: Server, request: IncomingMessage, socket: Duplex, rest: Buffer): void {
  if (rest.length > 0) socket.unshift(rest);
  const response = new ServerResponse(request);
  response.shouldKeepAlive = !listsToken(request.headers.connection, 'close');
  response.assignSocket(socket as Socket);
  response.once('finish', () => {
    response.detachSocket(socket as Socket);
    if (!response.shouldKeepAlive) return socket.end();
    request.resume();
    takeUpAnew(server, request, socket);
  });
  emitRequest(server, request, response);
}

/** As Node does for the requests that it takes up itself (RFC 9110 section 10.1.1). */
function emitRequest(server: Server, request: IncomingMessage, response: ServerResponse): void {
  const { expect } = request.headers;
  if (expect === undefined) return void server.emit('request', request, response);
  const asked = listsToken(expect, '100-continue') ? 'checkContinue' : 'checkExpectation';
  if (server.emit(asked, request, response)) return;
  if (asked === 'checkExpectation') return void response.writeHead(417).end();
  response.writeContinue();
  server.emit('request', request, response);
}

/**
 * To its other listeners the connection is none that has just come, so Node's own alone is called. The request knows the
 * server's own socket; what came with the event may be Node's wrapping of it.
 */
function takeUpAnew(server: Server, request: IncomingMessage, socket: Duplex): void {
  // From here on the server guards it.
  socket.off('error', ignore);
  const event = 'encrypted' in request.socket ? 'secureConnection' : 'connection';
  const listener = server.listeners(event).find(({ name }) => name === 'connectionListener');
  if (listener) listener.call(server, socket);
  else server.emit(event, socket);
}

function headWithoutUpgrade(request: IncomingMessage): Buffer {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = keptValue(name.toLowerCase(), rawHeaders[i + 1] as string);
    if (value !== undefined) lines.push(`${name}: ${value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** Upgrade, the Connection option that announces it, and h2c's settings belong to the one hop that we decline. */
function keptValue(name: string, value: string): string | undefined {
  if (name === 'upgrade' || name === 'http2-settings') return undefined;
  if (name !== 'connection') return value;
  const options = value.split(',').filter((one) => !/^\s*(?:upgrade|http2-settings)\s*$/i.test(one));
  return options.length > 0 ? options.join(',').trim() : undefined;
}
