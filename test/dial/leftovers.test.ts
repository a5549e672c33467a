import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createTcpServer } from 'node:net';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { echo } from '../behaviour/echo.js';
import { bridge, byteServer, head, listen, switching } from './servers.js';

test('a program that has dialled in every way, and has ended it, ends by itself', async () => {
  const silent = await listen(createTcpServer((socket) => void socket.resume()));
  const bridged = await bridge(false, (upgrader) => upgrader.route('/', echo));
  const wrong = await byteServer((socket, knock) => void socket.write(switching({ ...knock, accept: 'wrong' })));
  const loop = await byteServer((socket) => socket.end(head('302 Found', { Location: '/', 'Content-Length': 0 })));
  const gone = createTcpServer();
  const { host: nobody } = await listen(gone);
  gone.close();
  await once(gone, 'close');
  const where = {
    echo: bridged.url,
    silent: `ws://${silent.host}`,
    wrong: wrong.url,
    loop: loop.url,
    silentProxy: `http://${silent.host}`,
    nobody: `ws://${nobody}`,
  };

  const program = new URL('every-end.mjs', import.meta.url);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program.pathname, JSON.stringify(where)], {
    timeout: 15_000,
  });

  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({
    ends: [
      'HANDSHAKE_REFUSED',
      'CONNECTION_REFUSED',
      'DIAL_TIMEOUT',
      'DIAL_ABORTED',
      'DIAL_TIMEOUT',
      'TLS_FAILED',
      'INVALID_HANDSHAKE',
      'TOO_MANY_REDIRECTS',
      'DIAL_TIMEOUT',
      'INVALID_OPTION',
      'ENDED',
      'ENDED',
      'ENDED',
      'ENDED',
    ],
    alive: [],
  });
  for (const server of [silent, bridged, wrong, loop]) await server.empty();
});
