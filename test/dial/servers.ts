import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Upgrader, type UpgraderOptions } from '@drawbridge/core';
import { generate } from 'selfsigned';
import { onTestFinished } from 'vitest';

const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
  keyType: 'ec',
  algorithm: 'sha256',
  extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
});

/** The servers here prove that they are `localhost`, and nobody else, to whoever trusts this. */
export const authority = cert;

/** A certificate and its key, for a server or for a client that shows one. */
export const identity = { key, cert };

/** A server that listens for the length of the test, and the connections that it has open. */
export interface Listening {
  /** `localhost:port`. */
  readonly host: string;
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
  /** Resolves when it has no connection any more. */
  empty(): Promise<void>;
}

export async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      server.emit('left');
    });
  });
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: `localhost:${port}`,
    port,
    sockets,
    async empty() {
      while (sockets.size > 0) await once(server, 'left');
    },
  };
}

/** A Drawbridge, over TLS (with options of its own, perhaps) or not. */
export async function bridge(
  secure: boolean | ServerOptions,
  raise: (upgrader: Upgrader) => void,
  options?: UpgraderOptions,
): Promise<Listening & { url: string; upgrader: Upgrader }> {
  const server = secure ? createHttpsServer({ ...identity, ...(secure as ServerOptions) }) : createHttpServer();
  const upgrader = new Upgrader(options);
  raise(upgrader);
  upgrader.attach(server);
  const listening = await listen(server);
  return { ...listening, upgrader, url: `${secure ? 'wss' : 'ws'}://${listening.host}` };
}

export interface Knock {
  readonly requestLine: string;
  readonly headers: IncomingHttpHeaders;
  /** What Sec-WebSocket-Accept has to be. */
  readonly accept: string;
}

/** A server of bytes: it is given the head of a request, and says what it likes. */
export async function byteServer(
  answer: (socket: Socket, knock: Knock) => void,
  { secure = false } = {},
): Promise<Listening & { url: string }> {
  const onConnection = (socket: Socket): void => {
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      answer(socket, parse(head));
    };
    socket.on('data', onData);
    socket.on('error', () => {});
  };
  const server = secure
    ? createTlsServer(identity, (socket: TLSSocket) => onConnection(socket))
    : createTcpServer(onConnection);
  const listening = await listen(server);
  return { ...listening, url: `${secure ? 'wss' : 'ws'}://${listening.host}` };
}

function parse(head: string): Knock {
  const [requestLine = '', ...lines] = head.trimEnd().split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const accept = createHash('sha1')
    .update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  return { requestLine, headers, accept };
}

/** The head of a response. */
export function head(status: string, fields: Record<string, string | number> = {}): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  return `${[`HTTP/1.1 ${status}`, ...lines].join('\r\n')}\r\n\r\n`;
}

/** The head of a 101 as it should be, but for the changes. */
export function switching({ accept }: Knock, changes: Record<string, string> = {}): string {
  const fields = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': accept, ...changes };
  return head('101 Switching Protocols', fields);
}

/** A server's frame with a whole text message (RFC 6455 section 5.2). */
export function serverText(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]);
}

/** A proxy that does as it is asked to by CONNECT, and notes it. */
export async function connectProxy({
  secure = false,
  password = undefined as string | undefined,
} = {}): Promise<Listening & { url: string; asked: string[]; tunnelled: Buffer[] }> {
  const asked: string[] = [];
  const tunnelled: Buffer[] = [];
  const server = secure ? createHttpsServer(identity) : createHttpServer();
  server.on('connect', (request, socket: Socket) => {
    asked.push(String(request.url));
    socket.on('error', () => {});
    const expected = password && `Basic ${Buffer.from(password).toString('base64')}`;
    if (expected && request.headers['proxy-authorization'] !== expected) {
      socket.end(`${head('407 Proxy Authentication Required', { 'Content-Length': 7 })}who are`);
      return;
    }
    const [, port] = String(request.url).split(':');
    const onward = connect(Number(port), '127.0.0.1', () => {
      socket.write(head('200 Connection established'));
      socket.on('data', (chunk: Buffer) => tunnelled.push(chunk));
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.end(head('502 Bad Gateway', { 'Content-Length': 0 })));
    onward.on('close', () => socket.resume());
    socket.on('close', () => onward.destroy());
  });
  const listening = await listen(server);
  return { ...listening, asked, tunnelled, url: `${secure ? 'https' : 'http'}://${listening.host}` };
}

/** What a promise rejects with. */
export async function failure<E = Error & { code: string }>(promise: Promise<unknown>): Promise<E> {
  try {
    await promise;
  } catch (error) {
    return error as E;
  }
  throw new Error('It was to reject, and resolved.');
}
