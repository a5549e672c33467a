import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Connection, type Handler, Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';
import type { WebSocket } from 'ws';
import { dial } from '../behaviour/client.js';
import { latch } from '../behaviour/latch.js';

/** A client of a server whose handler gets each text as a list of its words, and nothing for an empty one. */
async function words(handler: (socket: Connection<undefined, string[]>) => unknown, options = {}): Promise<WebSocket> {
  const upgrader = new Upgrader(options);
  const open: Handler = async (socket) => {
    socket.decodeMessages((data) => (String(data) === '' ? undefined : { value: String(data).split(' ') }));
    await handler(socket as Connection<undefined, never>);
  };
  upgrader.route('/', open);
  const server = createServer();
  upgrader.attach(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  onTestFinished(async () => {
    server.close();
    await upgrader.close({ timeout: 0 });
  });
  const { port } = server.address() as AddressInfo;
  return dial({ authority: `127.0.0.1:${port}`, secure: false } as never, '/');
}

const readers: Record<string, (socket: Connection<undefined, string[]>, tell: (message: unknown) => void) => unknown> =
  {
    'a listener': (socket, tell) => void socket.on('message', (message) => tell(message)),
    'a late listener': (socket, tell) => void setTimeout(() => socket.on('message', (message) => tell(message)), 30),
    onmessage: (socket, tell) => {
      socket.onmessage = ({ data }) => tell(data);
    },
    'receive()': async (socket, tell) => {
      for (let i = 0; i < 2; i++) tell(await socket.receive());
    },
    'a loop': async (socket, tell) => {
      for await (const message of socket) tell(message);
    },
    'a stream of objects': (socket, tell) => void socket.stream({ readableObjectMode: true }).on('data', tell),
  };

test.each(Object.entries(readers))(
  '%s gets what was made of each message, and not what was dropped',
  async (_how, read) => {
    const heard: unknown[] = [];
    const enough = latch();
    const client = await words((socket) => read(socket, (message) => heard.push(message) === 2 && enough.open()));
    for (const text of ['one two', '', 'three']) client.send(text);
    await enough.promise;
    expect(heard).toEqual([['one', 'two'], ['three']]);
  },
);

test('those that wait count by the bytes that they came in', async () => {
  const queued = latch<Connection<undefined, string[]>>();
  const client = await words((socket) => queued.open(socket), { maxQueuedBytes: 1_000 });
  const socket = await queued.promise;
  for (let i = 0; i < 4; i++) client.send('x'.repeat(400));
  await expect.poll(() => socket.isPaused).toBe(true);
  for (let i = 0; i < 4; i++) expect(await socket.receive()).toEqual(['x'.repeat(400)]);
  await expect.poll(() => socket.isPaused).toBe(false);
});

test('a decoder that throws ends its connection with 1011, and is reported', async () => {
  const errors: unknown[] = [];
  const heard: unknown[] = [];
  const client = await words(
    (socket) => {
      socket.decodeMessages(() => {
        throw new Error('no decoder');
      });
      socket.on('message', (message) => heard.push(message));
    },
    { onError: (error: unknown) => errors.push(error) },
  );
  client.send('one');
  expect((await once(client, 'close'))[0]).toBe(1011);
  expect(errors).toEqual([expect.objectContaining({ message: 'no decoder' })]);
  expect(heard).toEqual([]);
});
