import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import { type Connection, Upgrader, type UpgraderOptions } from '@drawbridge/core';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';

async function connect(options: UpgraderOptions = {}): Promise<[WebSocket, Connection]> {
  const upgrader = new Upgrader(options);
  const accepted = new Promise<Connection>((resolve) => upgrader.route('/', resolve));
  const server = createServer();
  upgrader.attach(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  onTestFinished(async () => {
    client.terminate();
    server.close();
    await upgrader.close({ timeout: 0 });
  });
  await once(client, 'open');
  return [client, await accepted];
}

test('all that is known of the inside of ws is still there', async () => {
  const [, socket] = await connect({ perMessageDeflate: { serverNoContextTakeover: true } });
  const insides = socket as unknown as {
    _isServer: boolean;
    _socket: Socket;
    _sender: { _state: number; _firstFragment: boolean; sendFrame: unknown; outbox: unknown };
    _receiver: { _state: number; _masked: boolean; _payloadLength: number; _mask: unknown; consume: unknown };
    _extensions: {
      'permessage-deflate': { params: object; _options: object; _threshold: number; decompress: unknown };
    };
  };
  expect(insides._socket).toBeInstanceOf(Socket);
  expect(insides._isServer).toBe(true);
  const { _sender, _receiver } = insides;
  expect(_sender).toMatchObject({ _state: 0, _firstFragment: true, outbox: expect.any(Object) });
  expect(Object.getPrototypeOf(_sender).sendFrame).toBeTypeOf('function');
  expect(_receiver).toMatchObject({ _state: 0, _masked: false, _payloadLength: 0 });
  expect('_mask' in _receiver).toBe(true);
  expect(Object.getPrototypeOf(_receiver).consume).toBeTypeOf('function');
  const deflate = insides._extensions['permessage-deflate'];
  expect(deflate).toMatchObject({ params: expect.any(Object), _options: expect.any(Object), _threshold: 1024 });
  expect(Object.getPrototypeOf(deflate).decompress).toBeTypeOf('function');
});

test('messages of every length, wherever they lie in a packet, come as they were sent', async () => {
  const [client, socket] = await connect();
  const sent: Buffer[] = [];
  for (let length = 100; length < 180; length++) sent.push(randomBytes(length));
  for (const length of [4095, 4096, 4097, 65_535, 65_536, 200_001]) sent.push(randomBytes(1), randomBytes(length));
  for (const message of sent) client.send(message);
  client.send(sent[3] as Buffer, { fin: false });
  client.send(sent[9] as Buffer, { fin: true });
  for (const message of sent) expect(message.equals((await socket.receive()) as Buffer)).toBe(true);
  expect(await socket.receive()).toEqual(Buffer.concat([sent[3] as Buffer, sent[9] as Buffer]));
});

test('a mask of zeros, and one that looks like it in part, is undone', async () => {
  const [, socket] = await connect();
  const receive = receiverOf(socket);
  const payload = randomBytes(300);
  for (const mask of [
    [0, 0, 0, 0],
    [0, 0, 0, 7],
    [255, 0, 255, 0],
  ]) {
    const masked = payload.map((byte, i) => byte ^ (mask[i & 3] as number));
    receive(Buffer.concat([Buffer.from([0x82, 0xfe, 1, 44, ...mask]), masked]));
    expect(payload.equals((await socket.receive()) as Buffer)).toBe(true);
  }
});

/** Takes bytes as if they had come from the client. */
function receiverOf(socket: Connection): (bytes: Buffer) => void {
  const { _receiver } = socket as unknown as { _receiver: { write(chunk: Buffer): void } };
  return (bytes) => _receiver.write(bytes);
}
