// Where connections come and go; counts what it keeps.
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { queryObjects } from 'node:v8';
import { Connection } from '@drawbridge/core';
import { serveAndAnswer } from './answers.mjs';
import { hosts } from './hosts.mjs';

function listenersOf(emitter) {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]));
}

/** What is running or open at this moment, by kind. */
function resources() {
  const counts = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

const routes = [
  ['/events', {}, (socket) => void socket.on('message', (data) => socket.send(data))],
  [
    '/loop',
    { idleTimeout: 60_000 },
    async (socket) => {
      const { signal } = socket;
      signal.addEventListener('abort', () => {});
      for await (const message of socket) socket.send(message);
    },
  ],
  [
    '/receive',
    {},
    async (socket) => {
      socket.send(await socket.receive({ timeout: 60_000, signal: socket.signal }));
      await socket.drained();
      await socket.closed;
    },
  ],
];

const { server, upgrader } = await hosts[process.argv[2]](routes, { maxConnectionsPerAddress: 1_000 }, 1_000);
serveAndAnswer(server, {
  count: () => upgrader.connections.size,
  // Counting collects garbage first.
  kept: () => ({
    objects: [Connection, Socket, IncomingMessage, ServerResponse, AbortSignal].map((kind) =>
      queryObjects(kind, { format: 'count' }),
    ),
    process: listenersOf(process),
    server: listenersOf(server),
    resources: resources(),
  }),
});
