import { attach, websocket } from '@drawbridge/express';
import express from 'express';

const app = express();

app.get(
  '/rooms/:room',
  (req, res, next) => {
    if (req.params.room === 'lobby') next();
    else res.status(404).send('No such room.');
  },
  websocket({ subprotocols: ['v1.chat'] }, async (socket, req) => {
    for await (const message of socket) socket.send(`${req.params.room}: ${message}`);
  }),
);

const server = app.listen(8080);
const upgrader = attach(server, app, { maxPayload: 64 * 1024 });

process.once('SIGTERM', () => {
  server.close();
  upgrader.close();
});
