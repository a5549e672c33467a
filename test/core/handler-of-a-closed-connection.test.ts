import { EventEmitter, on, once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, dial, Upgrader } from '@drawbridge/core';
import { expect, test } from 'vitest';

/** Each waits for something that will not happen, for as long as there is a client. */
const waits: Record<string, (socket: Connection<unknown>) => Promise<unknown>> = {
  'receive()': (socket) => socket.receive(),
  'a timer': ({ signal }) => sleep(60_000, undefined, { signal, ref: false }),
  once: ({ signal }) => once(new EventEmitter(), 'never', { signal }),
  on: ({ signal }) => on(new EventEmitter(), 'never', { signal }).next(),
  pipeline: ({ signal }) => pipeline(new PassThrough(), new PassThrough(), { signal }),
  'fetch and its like': ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
};

async function whatIsReported(handler: (socket: Connection<unknown>) => Promise<void>): Promise<unknown[]> {
  const reported: unknown[] = [];
  const upgrader = new Upgrader({ onError: (error) => reported.push(error) }).route('/', handler);
  const server = createServer().listen(0);
  upgrader.attach(server);
  await once(server, 'listening');
  const client = await dial(`ws://localhost:${(server.address() as AddressInfo).port}`);
  client.close(1000);
  await client.closed;
  await upgrader.close();
  server.close();
  return reported;
}

test.each(Object.entries(waits))(
  'a handler that waits with %s until the client has gone has not failed',
  async (_, wait) => {
    expect(
      await whatIsReported(async (socket) => {
        await wait(socket);
      }),
    ).toEqual([]);
  },
);

test('what is aborted for another reason is reported', async () => {
  const error = new DOMException('The request took too long.', 'AbortError');
  expect(
    await whatIsReported(async (socket) => {
      await socket.closed;
      throw error;
    }),
  ).toEqual([error]);
});
