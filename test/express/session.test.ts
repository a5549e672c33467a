import { setTimeout as delay } from 'node:timers/promises';
import { websocket } from '@drawbridge/express';
import type { ErrorRequestHandler, Request } from 'express';
import session, { MemoryStore, type SessionOptions } from 'express-session';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { knock, type RawResponse } from '../behaviour/raw.js';
import { type Served, serve, versions } from './serve.js';

declare module 'express-session' {
  interface SessionData {
    visits: number;
  }
}

const secret = 'a secret for the tests';

type Stored = session.SessionData | null | undefined;

/** A store that answers when its time has come, as those behind a network do. */
class SlowStore extends MemoryStore {
  override get(id: string, done: (error: unknown, stored?: Stored) => void): void {
    void delay(10).then(() => super.get(id, done));
  }

  override set(id: string, data: session.SessionData, done?: (error?: unknown) => void): void {
    void delay(10).then(() => super.set(id, data, done));
  }

  override touch(id: string, data: session.SessionData, done?: () => void): void {
    void delay(10).then(() => super.touch(id, data, done));
  }
}

function cookieOf(response: RawResponse): string {
  const [pair] = response.header('set-cookie')?.split(';', 1) ?? [];
  return pair ?? '';
}

describe.each(versions)('$name with express-session', ({ express }) => {
  /** Counts visits by WebSocket, and tells their number to the one who comes; GET /visits tells it too. */
  async function serveCounted(options: Partial<SessionOptions> = {}, handshakeTimeout = 5_000): Promise<Served> {
    const app = express();
    app.use(session({ secret, resave: false, saveUninitialized: false, ...options }));
    app.use('/count', (req, _res, next) => {
      req.session.visits = (req.session.visits ?? 0) + 1;
      next();
    });
    const tell = websocket((socket, req) => {
      socket.on('message', () => socket.send(String(req.session.visits)));
    });
    app.use('/count', tell);
    app.use('/look', tell);
    app.get('/visits', (req, res) => {
      res.send(String(req.session.visits));
    });
    return serve(app, { handshakeTimeout });
  }

  async function visits({ authority }: Served, Cookie: string): Promise<string> {
    const response = await fetch(`http://${authority}/visits`, { headers: { Cookie } });
    return response.text();
  }

  describe.each([
    ['one that answers at once', () => new MemoryStore()],
    ['one that takes its time', () => new SlowStore()],
  ])('and its store, %s', (_name, createStore) => {
    test('a new session is saved before the 101, with its cookie on it', async () => {
      const site = await serveCounted({ store: createStore() });
      const response = await (await knock(site, { path: '/count' })).response();
      expect(response.status).toBe(101);
      const cookie = cookieOf(response);
      expect(cookie).toMatch(/^connect\.sid=/);
      expect(await visits(site, cookie)).toBe('1');
    });

    test('an existing session is there for the handler, and its changes are saved', async () => {
      const site = await serveCounted({ store: createStore() });
      const Cookie = cookieOf(await (await knock(site, { path: '/count' })).response());
      const socket = await dial(site, '/count', { headers: { Cookie } });
      expect(await exchange(socket, 'how many?')).toBe('2');
      expect(await visits(site, Cookie)).toBe('2');
      socket.close();
    });

    test('an unchanged session gets no cookie, unless it is rolling', async () => {
      const store = createStore();
      const fixed = await serveCounted({ store });
      const rolling = await serveCounted({ store, rolling: true, cookie: { maxAge: 60_000 } });
      const Cookie = cookieOf(await (await knock(fixed, { path: '/count' })).response());
      const headers = { Cookie };
      const unchanged = await (await knock(fixed, { path: '/look', headers })).response();
      expect([unchanged.status, unchanged.all('set-cookie')]).toEqual([101, []]);
      const rolled = await (await knock(rolling, { path: '/look', headers })).response();
      expect([rolled.status, cookieOf(rolled)]).toEqual([101, Cookie]);
      expect(rolled.header('set-cookie')).toContain('Expires=');
    });

    test('a session that stays empty is neither saved nor sent', async () => {
      const store = createStore();
      const site = await serveCounted({ store });
      const response = await (await knock(site, { path: '/look' })).response();
      expect([response.status, response.all('set-cookie')]).toEqual([101, []]);
      expect(Object.keys((store as MemoryStore & { sessions: object }).sessions)).toEqual([]);
    });

    test('the handler saves what it changes later', async () => {
      const saved = latch();
      const app = express();
      app.use(session({ secret, resave: false, saveUninitialized: true, store: createStore() }));
      app.get('/visits', (req, res) => {
        res.send(String(req.session.visits));
      });
      app.use(
        websocket((_socket, req) => {
          req.session.visits = 7;
          req.session.save(() => saved.open());
        }),
      );
      const site = await serve(app);
      const cookie = cookieOf(await (await knock(site)).response());
      await saved.promise;
      expect(await visits(site, cookie)).toBe('7');
    });

    test('a refused client has its session saved like any other', async () => {
      const app = express();
      app.use(session({ secret, resave: false, saveUninitialized: false, store: createStore() }));
      app.get('/visits', (req, res) => {
        res.send(String(req.session.visits));
      });
      app.use((req, res) => {
        req.session.visits = 1;
        res.status(403).send('not today');
      });
      const site = await serve(app);
      const response = await (await knock(site)).lastResponse();
      expect([response.status, response.body.toString()]).toEqual([403, 'not today']);
      expect(await visits(site, cookieOf(response))).toBe('1');
    });
  });

  test('what beforeUpgrade puts into the session is saved', async () => {
    const app = express();
    app.use(session({ secret, resave: false, saveUninitialized: false, store: new SlowStore() }));
    app.get('/visits', (req, res) => {
      res.send(String(req.session.visits));
    });
    const beforeUpgrade = async (req: Request) => {
      await delay(5);
      req.session.visits = 3;
    };
    app.use(websocket({ beforeUpgrade }, () => {}));
    const site = await serve(app);
    const response = await (await knock(site)).response();
    expect(response.status).toBe(101);
    expect(await visits(site, cookieOf(response))).toBe('3');
  });

  test('a store that cannot load refuses with 500, and is reported once', async () => {
    class Broken extends MemoryStore {
      override get(_id: string, done: (error: unknown) => void): void {
        setImmediate(done, new Error('the store is down'));
      }
    }
    const site = await serveCounted({ store: new Broken() });
    const Cookie = cookieOf(await (await knock(site, { path: '/count' })).response());
    const response = await (await knock(site, { path: '/look', headers: { Cookie } })).lastResponse();
    expect(response.status).toBe(500);
    expect(response.body.toString()).not.toContain('store');
    expect(site.errors).toEqual([expect.objectContaining({ message: 'the store is down' })]);
  });

  test('a store that cannot save accepts, as it would answer any request, and is reported once', async () => {
    class Broken extends MemoryStore {
      override set(_id: string, _data: session.SessionData, done?: (error: unknown) => void): void {
        setImmediate(() => done?.(new Error('the store is full')));
      }
    }
    const site = await serveCounted({ store: new Broken() });
    const socket = await dial(site, '/count');
    await expect.poll(() => site.errors.length).toBe(1);
    expect(await exchange(socket, 'how many?')).toBe('1');
    expect(site.errors).toEqual([expect.objectContaining({ message: 'the store is full' })]);
    socket.close();
  });

  test('an error that comes while a session is saved changes nothing of the answer', async () => {
    const store = new SlowStore();
    const app = express();
    let fail: (error: Error) => void = () => {};
    app.use(session({ secret, resave: false, saveUninitialized: true, store }));
    app.use((_req, _res, next) => {
      fail = next;
      next();
    });
    app.use(websocket(echo));
    app.use(((_error, _req, res, _next) => {
      res.status(500).send('sorry');
    }) satisfies ErrorRequestHandler);
    const { set } = store;
    store.set = (...args) => {
      setImmediate(() => fail(new Error('in the meantime')));
      set.apply(store, args);
    };
    const site = await serve(app);
    const socket = await dial(site, '/echo');
    expect(await exchange(socket, 'across')).toBe('across');
    expect(site.errors).toEqual([expect.objectContaining({ code: 'ERR_HTTP_HEADERS_SENT' })]);
    socket.close();
  });

  test('a store that throws refuses with 500, and is reported once', async () => {
    class Broken extends MemoryStore {
      override set(): void {
        throw new Error('the store is broken');
      }
    }
    const site = await serveCounted({ store: new Broken() });
    expect((await (await knock(site, { path: '/count' })).lastResponse()).status).toBe(500);
    expect(site.errors).toEqual([expect.objectContaining({ message: 'the store is broken' })]);
  });

  test.each(['get', 'set'] as const)(
    'a store whose %s never answers costs the client its handshake time',
    async (name) => {
      const store = new MemoryStore();
      const site = await serveCounted({ store }, 100);
      const headers = { Cookie: cookieOf(await (await knock(site, { path: '/count' })).response()) };
      store[name] = () => {};
      const response = await (await knock(site, { path: '/count', headers })).lastResponse();
      expect(response.status).toBe(408);
      expect(site.upgrader.connections.size).toBe(1);
    },
  );

  test('a secure cookie is set where a trusted proxy says https', async () => {
    const app = express();
    app.set('trust proxy', 'loopback');
    app.use(session({ secret, resave: false, saveUninitialized: true, cookie: { secure: true } }));
    app.use(websocket(() => {}));
    const site = await serve(app);
    const bare = await (await knock(site)).response();
    expect([bare.status, bare.all('set-cookie')]).toEqual([101, []]);
    const forwarded = await (await knock(site, { headers: { 'X-Forwarded-Proto': 'https' } })).response();
    expect(forwarded.header('set-cookie')).toContain('Secure');
  });
});
