import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { attach, websocket } from '@drawbridge/express';
import express from 'express';

const app = express();

app.use(
  '/echo',
  websocket((socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  }),
);

const server = createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }, app);
attach(server, app);
server.listen(8443);
