import { attach, websocket } from '@drawbridge/express';
import express from 'express';
import { Server } from 'socket.io';

const app = express();

app.use(
  '/echo',
  websocket((socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  }),
);

const server = app.listen(8080);
const io = new Server(server, { destroyUpgrade: false });
io.on('connection', (socket) => socket.on('echo', (text, answer) => answer(text)));

attach(server, app);
