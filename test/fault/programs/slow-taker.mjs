// Handlers that take messages slower than they come.
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Upgrader } from '@drawbridge/core';
import { serveAndAnswer } from './answers.mjs';

let taken = 0;

async function takeOneEvery(milliseconds, socket) {
  for await (const _ of socket) {
    taken++;
    // What is held is to be measured, and not what the engine has not swept up yet, which differs from one to the next.
    if (taken % 50 === 0) globalThis.gc();
    await delay(milliseconds);
  }
}

const server = createServer();
new Upgrader()
  .route('/once-a-second', (socket) => takeOneEvery(1_000, socket))
  .route('/once-a-millisecond', (socket) => takeOneEvery(1, socket))
  .route('/never', () => new Promise(() => {}))
  .route('/paused', (socket) => {
    socket.on('message', () => {});
    socket.pause();
  })
  .attach(server);
serveAndAnswer(server, { taken: () => taken });
