import { setTimeout as sleep } from 'node:timers/promises';

/** As long as a datagram: the number of the piece and how many there are, two bytes each, and 127 pixels of the picture. */
const LENGTH = 512;
const HEADER = 4;

/** Cuts a picture into pieces that say where they belong. */
export function cut(pixels: Buffer): Buffer[] {
  const contents = LENGTH - HEADER;
  const count = Math.ceil(pixels.length / contents);
  return Array.from({ length: count }, (_, number) => {
    const header = Buffer.alloc(HEADER);
    header.writeUInt16BE(number, 0);
    header.writeUInt16BE(count, 2);
    return Buffer.concat([header, pixels.subarray(number * contents, (number + 1) * contents)]);
  });
}

/** The same pieces at the pace at which they are sent, so that one can watch, and no buffer on the way overflows. */
export async function* paced(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const [number, piece] of pieces.entries()) {
    if (number % 8 === 7) await sleep(12);
    yield piece;
  }
}
