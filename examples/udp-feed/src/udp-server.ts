import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { paced } from './pieces.js';

/** How many others overtake a datagram that is late. */
const LATE_BY = 3;

export interface UdpServer {
  port: number;
  close(): void;
}

/**
 * A UDP server on 127.0.0.1 (for the whole network it would be a weapon: anybody can ask for a picture in somebody else's
 * name). To `picture` it answers with the pieces of it, a datagram each; to `picture 10` with 10 in 100 of them lost on
 * purpose and as many late. All else it sends back as it is.
 */
export async function serveUdp(pieces: readonly Buffer[], port = 0): Promise<UdpServer> {
  const socket = createSocket('udp4');
  let open = true;

  socket.on('message', (message, from) => {
    const order = /^picture(?: (\d{1,2}))?\s*$/.exec(String(message));
    if (order) sendPicture(Number(order[1] ?? 0) / 100, from);
    else socket.send(message, from.port, from.address);
  });

  async function sendPicture(share: number, to: RemoteInfo): Promise<void> {
    for await (const piece of paced(mishandle(pieces, share))) {
      if (open) socket.send(piece, to.port, to.address);
    }
  }

  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    close() {
      open = false;
      socket.close();
    },
  };
}

/** What a bad network does: loses this share of the pieces, and lets others overtake as many. */
function mishandle(pieces: readonly Buffer[], share: number): Buffer[] {
  return pieces
    .map((piece, number) => ({ piece, number, chance: Math.random() }))
    .filter(({ chance }) => chance >= share)
    .map(({ piece, number, chance }) => ({ piece, place: chance < 2 * share ? number + LATE_BY + 0.5 : number }))
    .sort((one, other) => one.place - other.place)
    .map(({ piece }) => piece);
}
