import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { serve } from '../serve.js';

// About the limit for JavaScript: reads no more of a frame than it must, and answers a whole packet at once.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const hub = new Set<Socket>();
let pending: Buffer[] = [];

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.once('data', (request) => {
    const text = request.toString('latin1');
    const key = /Sec-WebSocket-Key: (.*)\r/.exec(text)?.[1];
    const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    if (text.startsWith('GET /hub')) {
      hub.add(socket);
      socket.on('close', () => hub.delete(socket));
    }
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      rest = answerFrames(socket, rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk);
    });
  });
});

/** Answers the whole frames of a chunk, gives what is left of it. */
function answerFrames(socket: Socket, chunk: Buffer): Buffer {
  const answers: Buffer[] = [];
  let offset = 0;
  while (chunk.length - offset >= 6) {
    let length = (chunk[offset + 1] as number) & 0x7f;
    const head = length === 126 ? 4 : 2;
    if (length === 126) length = chunk.readUInt16BE(offset + 2);
    const end = offset + head + 4 + length;
    if (end > chunk.length) break;
    if (((chunk[offset] as number) & 0x0f) === 8) {
      socket.end(Buffer.from([0x88, 0]));
      return Buffer.alloc(0);
    }
    const answer = Buffer.allocUnsafe(head + length);
    chunk.copy(answer, 0, offset, offset + head);
    answer[1] = (answer[1] as number) & 0x7f;
    const mask = chunk.subarray(offset + head, offset + head + 4);
    for (let i = 0; i < length; i++) {
      answer[head + i] = (chunk[offset + head + 4 + i] as number) ^ (mask[i & 3] as number);
    }
    answers.push(answer);
    offset = end;
  }
  if (answers.length > 0) socket.write(answers.length === 1 ? (answers[0] as Buffer) : Buffer.concat(answers));
  return chunk.subarray(offset);
}

await serve({
  server: server as never,
  broadcast: (text) => {
    if (pending.length === 0) process.nextTick(flush);
    pending.push(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
  },
});

function flush(): void {
  const joined = Buffer.concat(pending);
  pending = [];
  for (const socket of hub) socket.write(joined);
}
