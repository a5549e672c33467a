import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Connection } from '@drawbridge/core';
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { watchTimers } from './census.js';
import { dial } from './client.js';
import { type Gate, hosts, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { knock } from './raw.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What the decision may have left behind counts, too. */
const afterAWhile: Gate = () => new Promise((resolve) => setImmediate(resolve));

/** What belongs to the upgrades that come from now on: by name, and only as long as somebody else keeps it. */
class Belongings {
  readonly #all = new Map<string, WeakRef<object>>();

  constructor() {
    const onFastify = (message: unknown): void => this.#watch((message as { fastify: FastifyInstance }).fastify);
    subscribe('fastify.initialization', onFastify);
    onTestFinished(() => void unsubscribe('fastify.initialization', onFastify));
  }

  /** What a request of any host leads to; but not its parameters, of which Express 4 keeps the last in its router. */
  note(name: string, request: object): void {
    const { headers, rawHeaders, raw, res } = request as Record<string, object | undefined>;
    const parts = Object.entries({ request, headers, rawHeaders, response: res });
    for (const [part, value] of parts) if (value) this.#all.set(`${name} ${part}`, new WeakRef(value));
    if (raw) this.note(`${name} raw`, raw);
  }

  /** Those that are alive. */
  get kept(): string[] {
    collectGarbage();
    return [...this.#all].filter(([, part]) => part.deref()).map(([name]) => name);
  }

  get names(): string[] {
    return [...this.#all.keys()];
  }

  #watch(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', async (_request, reply) => {
      this.#all.set('reply', new WeakRef(reply)).set('reply response', new WeakRef(reply.raw));
    });
  }
}

/** What hears a socket when it comes to a server, before there is a request. */
function watchListeners(server: Server): (socket: Socket) => ReadonlySet<unknown> {
  const heard = new WeakMap<Socket, Set<unknown>>();
  const note = (socket: Socket): void => void heard.set(socket, new Set(listenersOf(socket)));
  server.on('connection', note).on('secureConnection', note);
  return (socket) => heard.get(socket) ?? new Set();
}

/** Wrappers of `once` and all. */
function listenersOf(emitter: EventEmitter): unknown[] {
  return emitter.eventNames().flatMap((name) => emitter.rawListeners(name));
}

interface Insides {
  _socket: Socket & { parser?: unknown; _httpMessage?: unknown };
  _receiver: EventEmitter;
}

function insidesOf(connection: Connection<unknown> | undefined): Insides {
  return connection as unknown as Insides;
}

describe.each(hosts)('$name: an idle connection', (host) => {
  test.each([
    ['at once', []],
    ['after a while', [afterAWhile]],
  ])('that was accepted %s keeps nothing of the request that it came by', async (_, gates) => {
    const belongings = new Belongings();
    const arrived = latch<Connection<unknown>>();
    const site = await serve(host, {
      routes: [
        {
          path: '/',
          gates,
          handler: (socket, request) => {
            belongings.note('its', request);
            arrived.open(socket);
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/' });
    onTestFinished(() => wire.reset());
    await wire.response();
    const socket = await arrived.promise;

    expect(belongings.names).toEqual(expect.arrayContaining(['its request', 'its headers']));
    await vi.waitFor(() => expect(belongings.kept).toEqual([]), { timeout: 5_000, interval: 1 });
    expect(socket.request).toBeUndefined();
    expect(insidesOf(socket)._socket.parser ?? undefined).toBeUndefined();
    expect(insidesOf(socket)._socket._httpMessage ?? undefined).toBeUndefined();
    expect(socket.readyState).toBe(socket.OPEN);
  });

  test('gives its request for as long as the application keeps it', async () => {
    const belongings = new Belongings();
    const arrived = latch<[Connection<unknown>, object]>();
    const site = await serve(host, {
      routes: [
        {
          path: '/',
          handler: (socket, request) => {
            belongings.note('its', request);
            arrived.open([socket, request]);
          },
        },
      ],
    });
    const wire = await knock(site, { path: '/' });
    onTestFinished(() => wire.reset());
    await wire.response();
    const [socket, request] = await arrived.promise;

    await new Promise((resolve) => setImmediate(resolve));
    expect(belongings.kept).toEqual(expect.arrayContaining(['its request', 'its headers']));
    expect(socket.request).toBe((request as { raw?: object }).raw ?? request);
  });

  test('is heard by what hears every other, however it was accepted', async () => {
    const accepted: Connection<unknown>[] = [];
    const handler = (socket: Connection<unknown>): void => void accepted.push(socket);
    let before: ReturnType<typeof watchListeners> = () => new Set();
    const site = await serve(host, {
      before: (server) => {
        before = watchListeners(server);
      },
      routes: [
        { path: '/at-once', handler },
        { path: '/after-a-while', gates: [afterAWhile], handler },
      ],
    });
    for (const path of ['/at-once', '/at-once', '/after-a-while', '/after-a-while']) {
      const wire = await knock(site, { path });
      onTestFinished(() => wire.reset());
      await wire.response();
    }
    await vi.waitFor(() => expect(accepted.length).toBe(4), { interval: 1 });
    const [first, ...others] = accepted.map((connection) => {
      const { _socket, _receiver } = insidesOf(connection);
      const own = listenersOf(_socket).filter((listener) => !before(_socket).has(listener));
      return [...own, ...listenersOf(_receiver), ...listenersOf(connection)];
    });
    expect(first?.length).toBeGreaterThan(0);
    for (const one of others) {
      expect(one.filter((listener) => !first?.includes(listener))).toEqual([]);
      expect(one.length).toBe(first?.length);
    }
  });

  test('has no timer', async () => {
    const site = await serve(host, { routes: [{ path: '/', gates: [afterAWhile] }] });
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const first = await dial(site, '/');
    const before = timers();
    const { running, stop } = watchTimers();
    const clients = await Promise.all(Array.from({ length: 20 }, () => dial(site, '/')));
    stop();
    expect(site.upgrader.connections.size).toBe(21);
    expect(timers()).toBeLessThanOrEqual(before);
    // One for all may have been begun meanwhile: Node's own for the Date header.
    expect(running.size).toBeLessThan(3);
    for (const client of [first, ...clients]) client.terminate();
  });
});
