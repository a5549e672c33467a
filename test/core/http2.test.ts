import { once } from 'node:events';
import { connect, createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { dial, Upgrader } from '@drawbridge/core';
import { generate } from 'selfsigned';
import { expect, onTestFinished, test } from 'vitest';

/** Speaks HTTP/2, and HTTP/1 with those who do not. */
async function serve(upgrader: Upgrader): Promise<{ host: string; ca: string }> {
  const names = [{ type: 7 as const, ip: '127.0.0.1' }];
  const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: names }],
  });
  const server = createSecureServer({ key, cert, allowHTTP1: true });
  upgrader.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    await upgrader.close({ timeout: 1_000 });
    await new Promise((resolve) => server.close(resolve));
  });
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, ca: cert };
}

test('an HTTP/2 server that allows HTTP/1 gets WebSockets by that, and answers a request for its routes by HTTP/2', async () => {
  const upgrader = new Upgrader();
  upgrader.route('/echo', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const { host, ca } = await serve(upgrader);

  const socket = await dial(`wss://${host}/echo`, { ca });
  socket.send('hello');
  expect(await socket.receive()).toBe('hello');
  socket.close();
  await socket.closed;

  const client = connect(`https://${host}`, { ca });
  for (const [path, status] of [
    ['/echo', 426],
    ['/elsewhere', 404],
  ] as const) {
    const stream = client.request({ ':path': path });
    const [headers] = await once(stream, 'response');
    expect([headers[':status'], await text(stream)]).toEqual([status, expect.stringMatching(/WebSocket/)]);
  }
  client.close();
  await once(client, 'close');
});
