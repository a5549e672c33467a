import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { format } from 'node:util';
import type { Connection, ErrorContext } from '@drawbridge/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { watchProcess } from './census.js';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { closePayload, frame, opcodes } from './frames.js';
import { hosts, serve } from './hosts/index.js';
import { meet, meetWire } from './meeting.js';
import { knock, textFrame, type Wire } from './raw.js';
import { limits, violations } from './violations.js';

type Socket = Connection<unknown>;

class OwnFault extends Error {}

function fault(): never {
  throw new OwnFault('the application has a fault');
}

async function asyncFault(): Promise<never> {
  await delay(1);
  return fault();
}

/** Where an application can fail, each with what makes it. */
const places: Record<string, (socket: Socket) => void | Promise<void>> = {
  'the handler': () => fault(),
  'the handler, asynchronously': asyncFault,
  'the handler, with a promise that it returns': () => Promise.reject(new OwnFault()),
  "on('message')": (socket) => void socket.on('message', fault),
  "on('message'), asynchronously": (socket) => void socket.on('message', asyncFault),
  "once('message')": (socket) => void socket.once('message', fault),
  "once('message'), asynchronously": (socket) => void socket.once('message', asyncFault),
  "addEventListener('message')": (socket) => socket.addEventListener('message', fault),
  "addEventListener('message'), asynchronously": (socket) => socket.addEventListener('message', asyncFault),
  'addEventListener with an object': (socket) =>
    socket.addEventListener('message', { handleEvent: asyncFault } as never),
  onmessage: (socket) => {
    socket.onmessage = fault;
  },
  'onmessage, asynchronously': (socket) => {
    socket.onmessage = asyncFault;
  },
  'a message that had waited': async (socket) => {
    await delay(10);
    socket.on('message', fault);
  },
  'the loop': async (socket) => {
    for await (const _ of socket) fault();
  },
  'the loop, asynchronously': async (socket) => {
    for await (const _ of socket) await asyncFault();
  },
  'JSON that the client sent': async (socket) => {
    await socket.receiveJSON();
  },
  'JSON.parse in a listener': (socket) => void socket.on('message', (data) => JSON.parse(String(data))),
  "on('ping')": (socket) => void socket.on('ping', fault),
  "on('ping'), asynchronously": (socket) => void socket.on('ping', asyncFault),
  'the signal of another connection': async () => {
    const reason = new OwnFault('not because this one ended');
    await delay(1_000, undefined, { signal: AbortSignal.abort(reason) });
  },
};

describe.each(hosts)('$name: an application that fails', (host) => {
  test.each(Object.keys(places).map((place) => [place]))('in %s', async (place) => {
    const faults = watchProcess();
    const reports: [unknown, ErrorContext][] = [];
    const sockets: Socket[] = [];
    const site = await serve(host, {
      options: { onError: (error, context) => reports.push([error, context]) },
      routes: [
        {
          path: '/faulty',
          handler: (socket, _request) => {
            sockets.push(socket);
            return places[place]?.(socket);
          },
        },
        { path: '/echo', handler: echo },
      ],
    });
    const neighbour = await dial(site, '/echo');
    const client = await dial(site, '/faulty');
    const closed = new Promise((resolve) => client.once('close', resolve));
    for (let i = 0; i < 20; i++) client.send('this is not JSON');
    client.ping();
    expect(await closed).toBe(1011);
    await sockets[0]?.closed;
    await delay(10);
    expect(reports.length).toBe(1);
    const [[error, context] = []] = reports;
    if (place.includes('JSON.parse')) expect(error).toBeInstanceOf(SyntaxError);
    else if (place.includes('JSON')) expect(error).toMatchObject({ code: 'INVALID_JSON' });
    else if (place.includes('signal')) expect(error).toMatchObject({ name: 'AbortError' });
    else expect(error).toBeInstanceOf(OwnFault);
    expect(context?.socket).toBe(sockets[0]);
    expect(context?.request?.url).toBe('/faulty');
    expect(await exchange(neighbour, 'undisturbed')).toBe('undisturbed');
    neighbour.terminate();
    expect(faults).toEqual([]);
  });

  test.each([
    ["on('close')", (socket: Socket) => void socket.on('close', fault)],
    ["on('close'), asynchronously", (socket: Socket) => void socket.on('close', asyncFault)],
    ['onclose', (socket: Socket) => void Object.assign(socket, { onclose: fault })],
    [
      'what comes behind the end of the loop',
      async (socket: Socket) => {
        for await (const _ of socket);
        fault();
      },
    ],
  ])('in %s, is told, and the next one is served', async (_place, handler) => {
    const faults = watchProcess();
    const reports: unknown[] = [];
    const site = await serve(host, {
      options: { onError: (error) => reports.push(error) },
      routes: [{ path: '/', handler }],
    });
    for (let i = 1; i <= 2; i++) {
      const client = await dial(site, '/');
      client.close(1000);
      await vi.waitFor(() => expect(reports.length).toBe(i), { interval: 2 });
    }
    for (const report of reports) expect(report).toBeInstanceOf(OwnFault);
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0), { interval: 2 });
    expect(faults).toEqual([]);
  });

  test('in a handler that takes no request, is told with it only while that is called', async () => {
    const contexts: ErrorContext[] = [];
    const site = await serve(host, {
      options: { onError: (_error, context) => contexts.push(context) },
      routes: [
        { path: '/at-once', handler: (_socket) => fault() },
        { path: '/later', handler: (socket) => void socket.on('message', fault) },
      ],
    });
    const first = await dial(site, '/at-once');
    await once(first, 'close');
    const second = await dial(site, '/later');
    second.send('x');
    await once(second, 'close');
    expect(contexts.map(({ request }) => request?.url)).toEqual(['/at-once', undefined]);
  });

  test('gets no further messages, however many were in the packet', async () => {
    let heard = 0;
    const reports: unknown[] = [];
    const site = await serve(host, {
      options: { onError: (error) => reports.push(error) },
      routes: [
        {
          path: '/',
          handler: (socket) => {
            socket.on('message', () => {
              heard++;
              fault();
            });
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/' });
    wire.send(...Array.from({ length: 1_000 }, () => textFrame('x')));
    await wire.response();
    expect(await wire.frame()).toEqual({ opcode: opcodes.close, payload: closePayload(1011) });
    expect([heard, reports.length]).toEqual([1, 1]);
    wire.reset();
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('a broken onError');
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('a broken onError');
      },
    ],
  ])('in an onError that %s ends nothing', async (_how, onError) => {
    const faults = watchProcess();
    const lines = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => lines.mockRestore());
    const site = await serve(host, {
      options: { onError },
      routes: [
        { path: '/', handler: fault },
        { path: '/echo', handler: echo },
      ],
    });
    const client = await dial(site, '/');
    expect(await new Promise((resolve) => client.once('close', resolve))).toBe(1011);
    expect(lines.mock.calls.map(([, error]) => error.message)).toEqual([
      'a broken onError',
      'the application has a fault',
    ]);
    const neighbour = await dial(site, '/echo');
    expect(await exchange(neighbour, 'hi')).toBe('hi');
    neighbour.terminate();
    expect(faults).toEqual([]);
  });

  test('with something that cannot even be printed ends nothing', async () => {
    const faults = watchProcess();
    const unprintable = {
      toString: () => fault(),
      [Symbol.toPrimitive]: () => fault(),
      [Symbol.for('nodejs.util.inspect.custom')]: () => fault(),
    };
    const things: unknown[] = [
      undefined,
      null,
      'a string',
      Object.create(null),
      unprintable,
      Object.defineProperty(new Error('x'), 'message', { get: fault }),
      Object.defineProperty(new Error('x'), 'stack', { get: fault }),
      Object.defineProperty(new Error('x'), 'cause', { get: fault }),
      new Proxy({}, { get: fault, has: fault, getPrototypeOf: fault, ownKeys: fault }),
    ];
    const lines = vi.spyOn(console, 'error').mockImplementation((...line) => void format(...line));
    onTestFinished(() => lines.mockRestore());
    const site = await serve(host, {
      routes: things.flatMap((thing, i) => [
        {
          path: `/sync/${i}`,
          handler: () => {
            throw thing;
          },
        },
        { path: `/async/${i}`, handler: () => Promise.reject(thing) },
      ]),
    });
    for (let i = 0; i < things.length; i++) {
      for (const path of [`/sync/${i}`, `/async/${i}`]) {
        const client = await dial(site, path);
        expect(await new Promise((resolve) => client.once('close', resolve)), path).toBe(1011);
      }
    }
    await delay(5);
    expect(faults).toEqual([]);
  });
});

async function closeCodeOf(wire: Wire): Promise<number> {
  const { opcode, payload } = await wire.frame();
  expect(opcode).toBe(opcodes.close);
  return payload.readUInt16BE(0);
}

describe.each(hosts)('$name: a client that breaks the protocol', (host) => {
  test.each(Object.keys(violations).map((name) => [name]))('by %s', async (name) => {
    const faults = watchProcess();
    const { client, server, site } = await meetWire(host, limits);
    const { send = [], code } = violations[name] ?? {};
    client.send(...send, textFrame('what comes behind it'));
    expect(await closeCodeOf(client)).toBe(code);
    await client.ending();
    expect(await server.closed).toEqual({ code: 1006, reason: '', wasClean: false });
    expect(server.messagesIn).toBe(0);
    expect(site.upgrader.connections.size).toBe(0);
    expect(faults).toEqual([]);
  });

  test('by garbage instead of compressed data', async () => {
    const faults = watchProcess();
    const site = await serve(host, { routes: [{ path: '/', options: { perMessageDeflate: true } }] });
    const wire = await knock(site, { path: '/', headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    expect((await wire.response()).header('sec-websocket-extensions')).toContain('permessage-deflate');
    wire.send(frame(Buffer.alloc(50, 0xff), { reserved: 4 }));
    expect(await closeCodeOf(wire)).toBe(1007);
    await wire.ending();
    expect(faults).toEqual([]);
  });

  test('is told to who listens for errors, and to nobody else', async () => {
    const { client, server } = await meetWire(host, limits);
    const errors: unknown[] = [];
    server.on('error', (error) => errors.push(error));
    client.send(frame('x', { reserved: 1 }));
    await server.closed;
    expect(errors).toMatchObject([{ code: 'WS_ERR_UNEXPECTED_RSV_2_3' }]);
  });

  test('is seen by the loop as an end that was not clean', async () => {
    const { client, server } = await meetWire(host, limits);
    client.send(textFrame('good'), frame('x', { reserved: 1 }));
    expect(await server.receive()).toBe('good');
    await expect(server.receive()).rejects.toMatchObject({ name: 'ConnectionClosed', code: 1006, wasClean: false });
  });
});

/** What an application may do to a socket at a bad time. */
const mischief: Record<string, (socket: Socket, client: WebSocket) => unknown> = {
  'terminates it in a listener': (socket) => socket.terminate(),
  'closes and terminates it': (socket) => {
    socket.close(1000);
    socket.terminate();
    socket.terminate();
  },
  'sends after close': (socket) => {
    socket.close(1000);
    socket.send('too late');
    socket.sendJSON({ too: 'late' });
    socket.ping();
    socket.pong();
  },
  'sends after terminate': (socket) => {
    socket.terminate();
    socket.send('too late');
    socket.ping();
  },
  'closes with a code that nobody may send': (socket) => socket.close(1006),
  'closes with a reason that is too long': (socket) => socket.close(1000, 'x'.repeat(124)),
  'sends what cannot be sent': (socket) => socket.send({ toString: fault } as never),
  'sends what fails when it is converted': (socket) => socket.send({ [Symbol.toPrimitive]: fault } as never),
  'pauses it for ever and closes it': (socket) => {
    socket.pause();
    socket.close(1000);
  },
  'removes all listeners': (socket) => {
    socket.removeAllListeners();
    socket.close(1000);
  },
  'asks for what never comes': (socket, client) => {
    socket.drained();
    client.terminate();
  },
};

describe.each(hosts)('$name: an application that', (host) => {
  test.each(Object.keys(mischief).map((name) => [name]))('%s ends that connection and nothing else', async (name) => {
    const faults = watchProcess();
    const lines = vi.spyOn(console, 'error').mockImplementation(() => {});
    onTestFinished(() => lines.mockRestore());
    const { client, server, site } = await meet(host);
    server.on('message', () => mischief[name]?.(server, client));
    client.on('error', () => {});
    for (let i = 0; i < 3; i++) client.send('now');
    await server.closed;
    await delay(10);
    expect(faults).toEqual([]);
    expect(site.upgrader.connections.size).toBe(0);
  });
});
