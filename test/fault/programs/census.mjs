// Echoes, and counts who is there. The heartbeat's times are its arguments.
import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { serveAndAnswer } from './answers.mjs';

const [interval, timeout] = process.argv.slice(2).map(Number);
const server = createServer();
const upgrader = new Upgrader({ heartbeat: { interval, timeout } })
  .route('/echo', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  })
  .attach(server);
serveAndAnswer(server, { count: () => upgrader.connections.size });
