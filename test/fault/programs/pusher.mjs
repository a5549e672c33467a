// Pushes 512 MiB at whoever connects, and a tick every 20 ms at its neighbours.
import { createServer } from 'node:http';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { Upgrader } from '@drawbridge/core';
import { serveAndAnswer } from './answers.mjs';

const amount = 512 * 1024 * 1024;
const pushed = {};

async function push(socket, size, pace) {
  const record = { start: performance.now(), sent: 0 };
  pushed[socket.path] = record;
  socket.closed.then(({ code }) => Object.assign(record, { code, lasted: performance.now() - record.start }));
  for (let sent = 0; sent < amount && socket.readyState === socket.OPEN; sent += size) {
    socket.send(Buffer.alloc(size, 1));
    record.sent = sent + size;
    await pace(socket, sent / size);
  }
  Object.assign(record, { stopped: performance.now() - record.start });
}

const now_and_then = (_socket, i) => i % 16 === 15 && turn();
const rarely = (_socket, i) => i % 1_000 === 999 && turn();

const server = createServer();
new Upgrader()
  .route('/close', (socket) => push(socket, 64 * 1024, now_and_then))
  .route('/terminate', { slowConsumer: 'terminate' }, (socket) => push(socket, 64 * 1024, now_and_then))
  .route('/pause', { slowConsumer: 'pause' }, (socket) =>
    push(socket, 64 * 1024, ({ drained }) => drained.call(socket)),
  )
  .route('/small', (socket) => push(socket, 20, rarely))
  .route('/rhythm', async (socket) => {
    for (;;) {
      socket.send(String(performance.now()));
      await delay(20, undefined, { signal: socket.signal });
    }
  })
  .attach(server);
serveAndAnswer(server, { pushed: () => pushed });
