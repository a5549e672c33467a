import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Connection, Upgrader } from '@drawbridge/core';
import { answerLines, costs } from '../line-protocol.js';

// One server, with as many routes as it is told, whose connections are spread over as many rooms.
const routes = Number(process.env.ROUTES ?? 1);
const rooms = Array.from({ length: Number(process.env.ROOMS ?? 1) }, () => new Set<Connection>());
const upgrader = new Upgrader();
let joined = 0;
for (let i = 0; i < routes; i++) upgrader.route(`/route${i}/:id`, () => {});
upgrader.route('/hub', (socket) => void rooms[joined++ % rooms.length]?.add(socket));
upgrader.route('/echo', () => {});
const server = createServer();
upgrader.attach(server);
await once(server.listen(0, '127.0.0.1'), 'listening');

answerLines({
  ...costs,
  async close() {
    const start = performance.now();
    await upgrader.close();
    return { wall: performance.now() - start };
  },
  broadcast() {
    const before = costs.cpu().seconds as number;
    for (const room of rooms) upgrader.broadcast(room, 'x'.repeat(64));
    return new Promise((done) => setImmediate(() => done({ seconds: (costs.cpu().seconds as number) - before })));
  },
});
process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
