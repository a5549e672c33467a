// What happens when a page opens a WebSocket, done by hand on a TCP connection: read the request, answer 101, speak frames.
// RFC 6455 is the whole story; its sections stand beside the lines that do what they say.

import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';

const TEXT = 0x1;
const CLOSE = 0x8;

/** One TCP connection, from its first byte to its last. What asks for no WebSocket is asked of `sendPage`. */
export async function serve(socket: Socket, sendPage: (path: string) => void): Promise<void> {
  // Bytes arrive in pieces of any size, so we only ever ask for as many as we need next.
  const bytes = new ByteReader(socket);

  // First everything is HTTP: a request line, headers, an empty line (section 4.1).
  const request = String(await bytes.until('\r\n\r\n'));
  const [requestLine = '', ...headerLines] = request.trim().split('\r\n');
  const headers = new Map(headerLines.map(header));

  // The header "Upgrade: websocket" asks to go on in another protocol on this very connection.
  if (headers.get('upgrade')?.toLowerCase() !== 'websocket') return sendPage(requestLine.split(' ')[1] ?? '/');

  // The browser made up a random key. That we hash it together with this one fixed string proves that we mean WebSocket,
  // and are not some server that says yes to anything (section 4.2.2). It is no secret, and no login.
  const key = headers.get('sec-websocket-key');
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

  // With this answer HTTP is over. The connection stays, and both sides may send whenever they like.
  const answer = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  answer.push(`Sec-WebSocket-Accept: ${accept}`, '', '');
  socket.write(answer.join('\r\n'));

  // Our first frame shows the page what it cannot see by itself: what the browser asked for it, and what we answered.
  socket.write(frame(TEXT, Buffer.from(request + answer.join('\r\n'))));

  // From now on everything that comes is frames (section 5.2).
  for (;;) {
    // The first byte: is this the last frame of its message (the highest bit), and of what kind is it (the lowest four)?
    // The second: are the contents masked (the highest bit), and how long are they (the other seven)?
    const start = await bytes.take(2);
    const opcode = start.readUInt8(0) & 0b0000_1111;
    const shortLength = start.readUInt8(1) & 0b0111_1111;

    // Seven bits count to 125. 126 says: the length is in the next two bytes. 127 says eight, for more than we want to take.
    const longLength = await bytes.take(shortLength === 126 ? 2 : 0);
    const length = shortLength === 126 ? longLength.readUInt16BE() : shortLength;
    if (shortLength === 127 || length > 20_000) return void socket.end(goodbye(1009));

    // A browser masks what it sends, each byte with one of four random ones, lest a page make it send what a careless
    // proxy takes for HTTP (section 5.3). Masking again gives back what was there.
    const mask = await bytes.take(4);
    const masked = await bytes.take(length);
    const contents = Buffer.from(masked.map((byte, index) => byte ^ mask.readUInt8(index % 4)));

    // A close frame is answered with one, and that is the end (section 5.5.1). Besides it we know nothing but text.
    if (opcode === CLOSE) return void socket.end(frame(CLOSE, contents));
    if (opcode !== TEXT) return void socket.end(goodbye(1003));

    // Our answer: the bytes as they came over the wire, and what they say.
    const wire = Buffer.concat([start, longLength, mask, masked]);
    socket.write(frame(TEXT, Buffer.from(`${wire.toString('hex')} ${contents}`)));
  }
}

/** A frame from server to client: whole in one piece (the highest bit of the first byte), never masked. */
function frame(opcode: number, contents: Buffer): Buffer {
  const { length } = contents;
  const lengthBytes = length < 126 ? [length] : [126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([0b1000_0000 | opcode, ...lengthBytes]), contents]);
}

/** A close frame; its contents begin with two bytes that say why (section 7.4). */
export function goodbye(code: number): Buffer {
  return frame(CLOSE, Buffer.from([code >> 8, code & 0xff]));
}

// Why, then, does a library exist? Because this server believes every page of the web, waits for ever for half a request,
// accepts a key that is none, knows no message in several frames, hears no ping, notices nobody who went without a word,
// swallows text that is not UTF-8, lets a slow reader fill its memory, and never asks who may come in.

function header(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

/** Gives the bytes of a connection in the portions that they are asked for. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #waiting: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    while (this.#waiting.length < length) await this.#more();
    const taken = this.#waiting.subarray(0, length);
    this.#waiting = this.#waiting.subarray(length);
    return taken;
  }

  async until(end: string): Promise<Buffer> {
    while (!this.#waiting.includes(end)) await this.#more();
    return this.take(this.#waiting.indexOf(end) + end.length);
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done || this.#waiting.length > 100_000) throw new Error('The client left, or asks too much.');
    this.#waiting = Buffer.concat([this.#waiting, value]);
  }
}
