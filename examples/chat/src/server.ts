import { createServer } from 'node:http';
import { Refusal, Upgrader } from '@drawbridge/core';
import { commandLine, page, serve } from '@drawbridge/example-gatehouse';
import { roomOf } from './room.js';

const { port } = commandLine();
const server = createServer(page(new URL('../public', import.meta.url), { single: true }));
const upgrader = new Upgrader({
  maxPayload: 4 * 1024,
  maxBufferedAmount: 1024 * 1024, // who reads more slowly than that leaves
  refusals: 'close', // so that the page can say why
});

upgrader.route(
  '/rooms/:room',
  {
    beforeUpgrade({ params, query }) {
      if (!/^[\w-]{1,30}$/.test(params.room)) throw new Refusal(404, { body: 'No room has such a name.' });
      const name = String(query.name ?? '').trim();
      if (!/^[\p{L}\p{N} .'-]{1,20}$/u.test(name)) throw new Refusal(400, { body: 'A name has 1 to 20 letters.' });
      return { name };
    },
  },
  async (socket, { params }) => {
    const room = roomOf(params.room);
    const name = room.join(socket, socket.data.name);
    try {
      for await (const message of socket) room.say(name, String(message));
    } finally {
      room.leave(name);
    }
  },
);

upgrader.attach(server);
await serve('Chat', server, upgrader, { port });
