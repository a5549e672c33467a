import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { serve } from '../serve.js';

// The same echo, in the style of a loop over the messages.
const upgrader = new Upgrader();
upgrader.route('/echo', async (socket) => {
  for await (const message of socket) socket.send(message);
});
const server = createServer();
upgrader.attach(server);

await serve({ server });
