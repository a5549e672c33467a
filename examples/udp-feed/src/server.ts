import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { commandLine, giveUp, page, serve } from '@drawbridge/example-gatehouse';
import { paint } from './picture.js';
import { cut, paced } from './pieces.js';
import { serveUdp } from './udp-server.js';

const { values, port } = commandLine('[--udp-port 7008]', {
  options: { 'udp-port': { type: 'string', default: '0' } },
});
const pieces = cut(paint());
const udpServer = await serveUdp(pieces, Number(values['udp-port'])).catch(({ message }) =>
  giveUp(`There is no UDP at port ${values['udp-port']}: ${message}.`),
);

const server = createServer(page(new URL('../public', import.meta.url)));
const upgrader = new Upgrader();

// A page speaks no UDP, so this server does it on its behalf: what the page says becomes a datagram, and each datagram that
// comes becomes a message. Where there is no room for one it is lost, as on any other part of its way.
upgrader.route('/udp', async (socket) => {
  const udp = createSocket('udp4', (datagram) => {
    if (socket.bufferedAmount < 64 * 1024) socket.send(datagram);
  });
  udp.on('error', () => {}); // nobody listens there: what is sent is lost too
  udp.connect(udpServer.port, '127.0.0.1');
  try {
    await once(udp, 'connect');
    for await (const message of socket) udp.send(message);
  } finally {
    udp.close();
  }
});

// The same pieces without any of that: whatever is asked for here comes whole and in order.
upgrader.route('/websocket', async (socket) => {
  for await (const _ of socket) {
    for await (const piece of paced(pieces)) {
      socket.send(piece);
      await socket.drained();
    }
  }
});

upgrader.attach(server);
await serve(`UDP feed (its UDP server is at 127.0.0.1:${udpServer.port})`, server, upgrader, { port });
udpServer.close();
