// Handlers that take what they get, or nothing, with the default limits; compression where the path says so.
import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { serveAndAnswer } from './answers.mjs';

const server = createServer();
const upgrader = new Upgrader()
  .route('/taking', (socket) => void socket.on('message', () => {}))
  .route('/never', () => new Promise(() => {}))
  .route('/compressed', { perMessageDeflate: true }, () => new Promise(() => {}))
  .route('/compressed-loop', { perMessageDeflate: true }, async (socket) => {
    for await (const _ of socket) await new Promise(() => {});
  })
  .attach(server);
serveAndAnswer(server, {
  messages: () => [...upgrader.connections].reduce((sum, { messagesIn }) => sum + messagesIn, 0),
  count: () => upgrader.connections.size,
});
