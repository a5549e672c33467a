import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, ConnectionClosed } from '@drawbridge/core';
import { describe, expect, test, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { watchProcess } from './census.js';
import { dial, exchange } from './client.js';
import { frame } from './frames.js';
import { hosts, serve } from './hosts/index.js';
import { failureOf, meet } from './meeting.js';

describe.each(hosts)('$name: receiving', (host) => {
  test('text comes as a string, binary as a Buffer, one at a time and in order', async () => {
    const { client, server } = await meet(host);
    client.send('text');
    client.send(Buffer.from('binary'));
    client.send('');
    expect(await server.receive()).toBe('text');
    expect(await server.receive()).toEqual(Buffer.from('binary'));
    expect(await server.receive()).toBe('');
  });

  test('those who wait are served in their order', async () => {
    const { client, server } = await meet(host);
    const waiting = [server.receive(), server.receive(), server.receive()];
    for (const text of ['1', '2', '3', '4']) client.send(text);
    expect(await Promise.all(waiting)).toEqual(['1', '2', '3']);
    expect(await server.receive()).toBe('4');
  });

  test('the loop may be left, and another begun; nothing is lost, nothing left behind', async () => {
    const { client, server } = await meet(host);
    const before = server.eventNames().map((name) => [name, server.listenerCount(name)]);
    const got: unknown[] = [];
    for (let i = 0; i < 30; i++) client.send(String(i));
    for (let round = 0; round < 3; round++) {
      for await (const message of server) {
        got.push(message);
        if (got.length % 10 === 0) break;
      }
      await delay(5);
    }
    expect(got).toEqual(Array.from({ length: 30 }, (_, i) => String(i)));
    expect(server.readyState).toBe(server.OPEN);
    expect(server.eventNames().map((name) => [name, server.listenerCount(name)])).toEqual(before);
    client.send('later');
    expect(await server.receive()).toBe('later');
  });

  test('a loop that is left by an error closes nothing by itself', async () => {
    const { client, server } = await meet(host);
    client.send('first');
    client.send('second');
    const failure = await failureOf(async () => {
      for await (const message of server) throw new Error(`no good: ${message}`);
    });
    expect(failure.message).toBe('no good: first');
    expect(server.readyState).toBe(server.OPEN);
    expect(await server.receive()).toBe('second');
  });

  test.each([
    [1000, ''],
    [1001, 'page closed'],
    [1005, ''],
  ] as const)('a close with %i ends the loop', async (code, reason) => {
    const { client, server } = await meet(host);
    client.send('last');
    if (code === 1005) client.close();
    else client.close(code, reason);
    const got: unknown[] = [];
    for await (const message of server) got.push(message);
    expect(got).toEqual(['last']);
    expect(await server.closed).toEqual({ code, reason, wasClean: true });
  });

  test.each([
    [4001, 'logged out', true, (client: WebSocket) => client.close(4001, 'logged out')],
    [1011, '', true, (client: WebSocket) => client.close(1011)],
    [1006, '', false, (client: WebSocket) => client.terminate()],
  ])('an end with %i is thrown by the loop', async (code, reason, wasClean, end) => {
    const { client, server } = await meet(host);
    client.send('last');
    await vi.waitFor(() => expect(server.messagesIn).toBe(1));
    end(client);
    const got: unknown[] = [];
    const failure = await failureOf(async () => {
      for await (const message of server) got.push(message);
    });
    expect(got).toEqual(['last']);
    expect(failure).toBeInstanceOf(ConnectionClosed);
    expect(failure).toMatchObject({ name: 'ConnectionClosed', code, reason, wasClean });
  });

  test('whoever still waits when the connection ends gets ConnectionClosed, and so does whoever asks later', async () => {
    const { client, server } = await meet(host);
    const waiting = [server.receive(), server.receive({ timeout: 10_000 }), server.receive({ signal: server.signal })];
    client.close(4000, 'over');
    for (const one of waiting) await expect(one).rejects.toMatchObject({ code: 4000, reason: 'over' });
    await expect(server.receive()).rejects.toBeInstanceOf(ConnectionClosed);
  });

  test('a receive that nobody awaits any more does not end the process when the connection does', async () => {
    const faults = watchProcess();
    const { client, server } = await meet(host);
    const receiving = server.receive();
    const draining = server.drained();
    client.close(1000);
    await server.closed;
    await delay(5);
    expect(faults).toEqual([]);
    await expect(receiving).rejects.toBeInstanceOf(ConnectionClosed);
    await draining;
  });

  test('a timeout stops the waiting with RECEIVE_TIMEOUT, and what comes later is not lost', async () => {
    const { client, server } = await meet(host);
    const start = performance.now();
    expect(await failureOf(() => server.receive({ timeout: 30 }))).toMatchObject({ code: 'RECEIVE_TIMEOUT' });
    expect(performance.now() - start).toBeGreaterThan(28);
    const impatient = failureOf(() => server.receive({ timeout: 5 }));
    const patient = server.receive({ timeout: 5_000 });
    expect(await impatient).toMatchObject({ code: 'RECEIVE_TIMEOUT' });
    client.send('late');
    expect(await patient).toBe('late');
  });

  test('a signal stops the waiting with its reason, and what comes later is not lost', async () => {
    const { client, server } = await meet(host);
    const stop = new AbortController();
    const stopped = failureOf(() => server.receive({ signal: stop.signal }));
    const patient = server.receive({ signal: new AbortController().signal });
    stop.abort(new Error('no longer needed'));
    expect(await stopped).toMatchObject({ message: 'no longer needed' });
    client.send('late');
    expect(await patient).toBe('late');
    client.send('waiting');
    await vi.waitFor(() => expect(server.messagesIn).toBe(2));
    expect(await failureOf(() => server.receive({ signal: stop.signal }))).toMatchObject({
      message: 'no longer needed',
    });
    expect(await server.receive()).toBe('waiting');
  });

  describe('two kinds of consumer on one connection are refused', () => {
    const listen: Record<string, (socket: Connection<unknown>) => unknown> = {
      "on('message')": (socket) => socket.on('message', () => {}),
      "once('message')": (socket) => socket.once('message', () => {}),
      'prependListener("message")': (socket) => socket.prependListener('message', () => {}),
      addEventListener: (socket) => socket.addEventListener('message', () => {}),
      onmessage: (socket) => {
        socket.onmessage = () => {};
      },
      stream: (socket) => socket.stream(),
    };
    const pull: Record<string, (socket: Connection<unknown>) => unknown> = {
      receive: (socket) => socket.receive(),
      receiveJSON: (socket) => socket.receiveJSON(),
      'for await': async (socket) => {
        for await (const _ of socket) break;
      },
    };
    const first = (what: object) => Object.keys(what).map((name) => [name]);

    test.each(first(listen))('%s, and then receive or the loop', async (name) => {
      const { client, server } = await meet(host);
      listen[name]?.(server);
      for (const action of Object.values(pull)) {
        expect(await failureOf(() => action(server))).toMatchObject({ code: 'CONSUMER_CONFLICT' });
      }
      client.send('still open');
      await vi.waitFor(() => expect(server.messagesIn).toBe(1));
      expect(server.readyState).toBe(server.OPEN);
    });

    test.each(first(pull))('%s, and then a listener', async (name) => {
      const { client, server } = await meet(host);
      client.send('{}');
      await pull[name]?.(server);
      for (const action of Object.values(listen)) {
        expect(await failureOf(() => action(server))).toMatchObject({ code: 'CONSUMER_CONFLICT' });
      }
      expect(server.listenerCount('message')).toBe(0);
      client.send('still there');
      expect(await server.receive()).toBe('still there');
    });
  });

  test('JSON goes both ways', async () => {
    const { client, server } = await meet(host);
    client.send(JSON.stringify({ from: 'client', list: [1, null] }));
    expect(await server.receiveJSON()).toEqual({ from: 'client', list: [1, null] });
    client.send(Buffer.from('[2]'));
    expect(await server.receiveJSON()).toEqual([2]);
    const answer = new Promise((resolve) => client.once('message', (data, isBinary) => resolve([`${data}`, isBinary])));
    server.sendJSON({ from: 'server' });
    expect(await answer).toEqual(['{"from":"server"}', false]);
  });

  test('what is not JSON is INVALID_JSON, and closes nothing', async () => {
    const { client, server } = await meet(host);
    client.send('{"half":');
    expect(await failureOf(() => server.receiveJSON())).toMatchObject({
      code: 'INVALID_JSON',
      cause: expect.any(SyntaxError),
    });
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const value of [undefined, () => {}, Symbol('none'), cycle, 1n]) {
      expect(await failureOf(() => server.sendJSON(value))).toMatchObject({ code: 'INVALID_JSON' });
    }
    client.send('7');
    expect(await server.receiveJSON({ timeout: 5_000 })).toBe(7);
    expect(await failureOf(() => server.receiveJSON({ timeout: 1 }))).toMatchObject({ code: 'RECEIVE_TIMEOUT' });
  });

  test('addEventListener and onmessage give back and take away what they were given', async () => {
    const { client, server } = await meet(host);
    const seen: unknown[] = [];
    const listener = ({ data }: { data: unknown }): void => void seen.push(data);
    const object = { handleEvent: ({ data }: { data: unknown }) => void seen.push(`object ${data}`) };
    server.onmessage = listener;
    expect(server.onmessage).toBe(listener);
    server.addEventListener('message', listener);
    server.addEventListener('message', listener);
    server.addEventListener('message', object);
    client.send('1');
    await vi.waitFor(() => expect(seen).toEqual(['1', '1', 'object 1']));
    server.onmessage = null;
    server.removeEventListener('message', listener);
    server.removeEventListener('message', object);
    expect(server.onmessage).toBe(null);
    expect(server.listenerCount('message')).toBe(0);
  });
});

describe.each(hosts)('$name: the connection as a stream', (host) => {
  test('carries bytes both ways with backpressure', async () => {
    const site = await serve(host, {
      routes: [
        {
          path: '/pipe',
          handler: async (socket) => {
            const stream = socket.stream();
            await pipeline(stream, stream);
          },
        },
      ],
    });
    const client = await dial(site, '/pipe');
    const { length } = await new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      client.on('message', (chunk: Buffer) => {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes === 8_000_000) resolve(Buffer.concat(chunks));
      });
      for (let i = 0; i < 100; i++) client.send(Buffer.alloc(80_000, i));
    });
    expect(length).toBe(8_000_000);
    client.close(1000);
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0));
  });

  test('does not read ahead of who reads it', async () => {
    const { client, server, site } = await meet(host);
    const stream = server.stream();
    for (let i = 0; i < 200; i++) client.send(Buffer.alloc(100_000));
    await delay(100);
    const [socket] = site.sockets;
    expect(socket?.bytesRead).toBeLessThan(1_000_000);
    let bytes = 0;
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes === 20_000_000) client.close(1000);
    }
    expect(bytes).toBe(20_000_000);
  });

  test('that nobody listens to for errors survives a client that breaks the protocol', async () => {
    const faults = watchProcess();
    const { client, server, site } = await meet(host);
    const stream = server.stream();
    stream.resume();
    (client as unknown as { _socket: NodeJS.WritableStream })._socket.write(frame('x', { reserved: 1, masked: false }));
    await server.closed;
    await delay(5);
    expect(stream.destroyed).toBe(true);
    expect(stream.errored).toMatchObject({ code: 'WS_ERR_UNEXPECTED_RSV_2_3' });
    expect(faults).toEqual([]);
    expect(site.upgrader.connections.size).toBe(0);
  });
});

describe.each(hosts)('$name: what ws can', (host) => {
  test('is there too: ping and pong, binary types, isPaused, events', async () => {
    const { client, server } = await meet(host);
    const pinged = new Promise((resolve) => server.once('ping', (data) => resolve(String(data))));
    client.ping('to the server');
    expect(await pinged).toBe('to the server');
    const ponged = new Promise((resolve) => server.once('pong', (data) => resolve(String(data))));
    server.ping('to the client');
    expect(await ponged).toBe('to the client');
    server.binaryType = 'arraybuffer';
    client.send(Buffer.from('bytes'));
    client.send('text');
    expect(await server.receive()).toEqual(new Uint8Array(Buffer.from('bytes')).buffer);
    expect(await server.receive()).toBe('text');
    server.pause();
    expect(server.isPaused).toBe(true);
    server.resume();
    expect(server.isPaused).toBe(false);
    expect([server.protocol, server.extensions, server.readyState]).toEqual(['', '', server.OPEN]);
  });

  test('is there too: sending with its options and callbacks', async () => {
    const { client, server } = await meet(host);
    const first = new Promise((resolve) => client.once('message', resolve));
    const sent = new Promise((resolve) => server.send('first', resolve));
    expect(await sent).toBeFalsy();
    await first;
    const got = new Promise((resolve) => client.once('message', (data, isBinary) => resolve([String(data), isBinary])));
    server.send('whole, ', { fin: false, binary: true });
    server.send('in two', { fin: true });
    expect(await got).toEqual(['whole, in two', true]);
    server.on('message', (data) => server.send(data));
    expect(await exchange(client, 'and back')).toBe('and back');
    client.close(1000);
    await server.closed;
    const refused = await new Promise<Error | undefined>((resolve) => server.send('too late', resolve));
    expect(refused?.message).toContain('not open');
    server.send('too late');
    server.ping();
    server.close();
    server.terminate();
    expect(server.messagesOut).toBe(3);
  });
});
