import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { format } from 'node:util';
import { dial, Upgrader } from '@drawbridge/core';
import { expect, onTestFinished, test, vi } from 'vitest';
import { watchProcess } from '../behaviour/census.js';

test('a listener of a dialled connection that throws what cannot be printed ends that connection only', async () => {
  const faults = watchProcess();
  const lines = vi.spyOn(console, 'error').mockImplementation((...line) => void format(...line));
  onTestFinished(() => lines.mockRestore());
  const server = createServer().listen(0, '127.0.0.1');
  const upgrader = new Upgrader().route('/', (socket) => socket.send('hello')).attach(server);
  await once(server, 'listening');
  onTestFinished(async () => {
    await upgrader.close({ timeout: 0 });
    server.close();
  });
  const socket = await dial(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  socket.on('message', () => {
    throw {
      [Symbol.for('nodejs.util.inspect.custom')]: () => {
        throw new Error('neither can this');
      },
    };
  });
  expect(await socket.closed).toMatchObject({ code: 1011 });
  await delay(5);
  expect(lines.mock.calls.map(([line]) => line)).toEqual([
    'drawbridge:',
    'drawbridge: an error that cannot be printed',
  ]);
  expect(faults).toEqual([]);
});
