import { connect, type Socket } from 'node:net';
import type { Dialect } from './contenders.js';
import { answerLines, costs, type Line } from './line-protocol.js';

/*
 * The load: plain sockets, frames made beforehand, answers counted by their bytes and never looked at, so that the server
 * is what is measured. Frames are made by hand here because a client library would be the bottleneck.
 */

const port = Number(process.argv[2]);
const pongFrame = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
/** Source addresses of the loopback: one has no more than 28,000 ports to connect from. */
const PER_ADDRESS = 15_000;

interface Client {
  socket: Socket;
  received: number;
  onBytes: (() => void) | undefined;
}

const clients: Client[] = [];
let receivedByAll = 0;
let dialect: Dialect | undefined;
let expected: { bytes: number; done: () => void } | undefined;

answerLines({ ...costs, open, echo, handshakes, expect, close });

async function open({ path, count, dialect: spoken }: Line): Promise<Line> {
  dialect = spoken as Dialect | undefined;
  const target = dialect?.path ?? (path as string);
  for (let opened = 0; opened < (count as number); opened += 100) {
    const batch = Math.min(100, (count as number) - opened);
    clients.push(...(await Promise.all(Array.from({ length: batch }, () => openOne(target)))));
  }
  receivedByAll = 0;
  return {};
}

async function openOne(path: string): Promise<Client> {
  const further = Math.floor(clients.length / PER_ADDRESS);
  // To bind takes the system much longer than to connect, for then it looks for a port that is free whomever it leads to.
  const socket = connect({ port, host: '127.0.0.1', ...(further > 0 && { localAddress: `127.0.0.${1 + further}` }) });
  socket.setNoDelay();
  socket.on('error', () => {});
  socket.write(handshake(path));
  await heard(socket, '\r\n\r\n');
  if (dialect) {
    socket.write(frame(Buffer.from(dialect.hello), 1));
    await heard(socket, dialect.ready);
  }
  const client: Client = { socket, received: 0, onBytes: undefined };
  socket.on('data', (chunk) => {
    if (chunk[0] === 0x88) socket.end(closeFrame);
    if (chunk[0] === 0x89) socket.write(pongFrame);
    client.received += chunk.length;
    receivedByAll += chunk.length;
    client.onBytes?.();
    if (expected && receivedByAll >= expected.bytes) expected.done();
  });
  return client;
}

function heard(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = '';
    const onData = (chunk: Buffer): void => {
      got += chunk.toString('latin1');
      if (!got.includes(text)) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error(`closed before ${JSON.stringify(text)}: ${got.slice(0, 200)}`)));
  });
}

async function echo({ inFlight, bytes, total }: Line): Promise<Line> {
  const [before, after] = dialect?.wrap ?? ['', ''];
  const payload = Buffer.from(before + 'x'.repeat(bytes as number) + after);
  const one = frame(payload, dialect ? 1 : 2);
  const answerLength = one.length - 4;
  const all = Buffer.concat(Array.from({ length: inFlight as number }, () => one));
  const quota = Math.floor((total as number) / clients.length);
  const start = performance.now();
  const { user, system } = process.cpuUsage();
  await Promise.all(
    clients.map(
      (client) =>
        new Promise<void>((resolve) => {
          const from = client.received;
          let sent = Math.min(inFlight as number, quota);
          client.onBytes = () => {
            const answered = Math.floor((client.received - from) / answerLength);
            const more = Math.min(answered + (inFlight as number), quota) - sent;
            if (more > 0) {
              sent += more;
              client.socket.write(all.subarray(0, more * one.length));
            }
            if (answered >= quota) {
              client.onBytes = undefined;
              resolve();
            }
          };
          client.socket.write(all.subarray(0, sent * one.length));
        }),
    ),
  );
  const used = process.cpuUsage({ user, system });
  const wall = performance.now() - start;
  return { wall, busy: (used.user + used.system) / 1000 / wall };
}

async function handshakes({ total, concurrency, path = '/echo', dialect: spoken }: Line): Promise<Line> {
  const request = handshake((spoken as Dialect | undefined)?.path ?? (path as string));
  let left = total as number;
  const start = performance.now();
  const { user, system } = process.cpuUsage();
  await Promise.all(
    Array.from({ length: concurrency as number }, async () => {
      while (left-- > 0) await shakeAndClose(request);
    }),
  );
  const used = process.cpuUsage({ user, system });
  const wall = performance.now() - start;
  return { wall, busy: (used.user + used.system) / 1000 / wall };
}

function shakeAndClose(request: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.on('data', () => {});
      socket.write(closeFrame);
    });
    socket.once('close', () => resolve());
    socket.write(request);
  });
}

function expect({ messages, bytes }: Line): Promise<Line> {
  const [before, after] = dialect?.wrap ?? ['', ''];
  const length = (bytes as number) + before.length + after.length;
  return new Promise((resolve) => {
    const done = (): void => {
      expected = undefined;
      receivedByAll = 0;
      resolve({});
    };
    expected = { bytes: (messages as number) * (length + (length < 126 ? 2 : 4)), done };
    if (receivedByAll >= expected.bytes) done();
  });
}

async function close(): Promise<Line> {
  const start = performance.now();
  await Promise.all(
    clients.splice(0).map(
      ({ socket }) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve());
          socket.write(closeFrame);
        }),
    ),
  );
  return { wall: performance.now() - start };
}

/** What a browser sends, about. */
function handshake(path: string): string {
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: localhost:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Origin: http://localhost:${port}`,
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64)',
    'Accept-Encoding: gzip, deflate',
    'Accept-Language: en',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** One whole masked frame (RFC 6455 section 5.2). */
function frame(payload: Buffer, opcode: 1 | 2): Buffer {
  const { length } = payload;
  const head = length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | Math.min(length, 126);
  if (length >= 126) head.writeUInt16BE(length, 2);
  const mask = [0x37, 0xfa, 0x21, 0x3d];
  head.set(mask, head.length - 4);
  return Buffer.concat([head, payload.map((byte, i) => byte ^ (mask[i & 3] as number))]);
}
