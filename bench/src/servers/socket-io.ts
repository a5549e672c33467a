import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { serve } from '../serve.js';

const server = createServer();
const io = new Server(server, { transports: ['websocket'], maxHttpBufferSize: 1e8 });
io.on('connection', (socket) => {
  socket.on('m', (data) => socket.emit('m', data));
});

await serve({ server, broadcast: (text) => void io.emit('m', text) });
