// An application without a single 'error' listener and without onError, written carelessly.
import { setTimeout as delay } from 'node:timers/promises';
import { serveAndAnswer } from './answers.mjs';
import { hosts } from './hosts.mjs';

const limits = { maxPayload: 1_000, maxFragments: 10 };

function fault() {
  throw new Error('the application has a fault');
}

const routes = [
  ['/echo', limits, (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })) && undefined],
  [
    '/loop',
    limits,
    async (socket) => {
      for await (const message of socket) socket.send(message);
    },
  ],
  [
    '/stream',
    limits,
    (socket) => {
      const stream = socket.stream();
      stream.pipe(stream);
    },
  ],
  ['/compressed', { ...limits, perMessageDeflate: true }, (socket) => void socket.on('message', () => {})],
  ['/slow', { beforeUpgrade: () => delay(20) }, (socket) => void socket.send('hello')],
  ['/json', {}, (socket) => void socket.on('message', (data) => JSON.parse(data))],
  ['/async-json', {}, (socket) => void socket.on('message', async (data) => JSON.parse(data))],
  ['/terminate', {}, (socket) => void socket.on('message', () => socket.terminate())],
  [
    '/late',
    {},
    (socket) => {
      socket.on('message', () => {
        socket.close(1000);
        socket.send('too late');
        socket.ping();
      });
      socket.on('close', () => {
        socket.send('much too late');
        socket.terminate();
      });
    },
  ],
  ['/to-string', {}, (socket) => void socket.on('message', () => socket.send({ toString: fault }))],
  [
    '/unprintable',
    {},
    async (socket) => {
      await socket.receive();
      throw { [Symbol.for('nodejs.util.inspect.custom')]: fault, toString: fault };
    },
  ],
  [
    '/push',
    {},
    async (socket) => {
      for (;;) {
        socket.send(Buffer.alloc(100_000));
        await socket.drained();
      }
    },
  ],
  [
    '/forgetful',
    {},
    (socket) => {
      socket.drained();
      socket.receive();
    },
  ],
];

const { server, upgrader, stop } = await hosts[process.argv[2]](routes, {}, 1_000);
serveAndAnswer(server, {
  count: () => upgrader.connections.size,
  async stop() {
    await stop();
    setImmediate(() => process.disconnect());
    return 'stopped';
  },
});
