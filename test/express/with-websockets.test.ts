import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Refusal, withWebSockets } from '@drawbridge/express';
import type { RequestHandler } from 'express';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { knock } from '../behaviour/raw.js';
import { open, versions } from './serve.js';

describe.each(versions)('$name: withWebSockets', ({ express }) => {
  function listen(server: Server) {
    return open(server, { close: async () => {} });
  }

  test('gives the application .ws(), and attaches when it listens', async () => {
    const { app, upgrader } = withWebSockets(express());
    const result = app.ws('/echo', (socket) => {
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    expect(result).toBe(app);
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = await dial(await listen(server), '/echo');
    expect(await exchange(socket, 'across')).toBe('across');
    expect(upgrader.connections.size).toBe(1);
    socket.close();
  });

  test('listens as listen does: with its callback, and more than once', async () => {
    const { app } = withWebSockets(express());
    app.ws('/hello', (socket) => socket.send('hello'));
    for (let i = 0; i < 2; i++) {
      const server = await new Promise<Server>((resolve) => {
        const listening: Server = app.listen(0, '127.0.0.1', () => resolve(listening));
      });
      const wire = await knock(await listen(server), { path: '/hello' });
      await wire.response();
      expect(await wire.text()).toBe('hello');
    }
  });

  test('attaches to a server of your own', async () => {
    const plain = express();
    const { listen: listenOfExpress } = plain;
    const server = createServer(plain);
    const { app } = withWebSockets(plain, { server });
    expect(app.listen).toBe(listenOfExpress);
    app.ws('/hello', (socket) => socket.send('hello'));
    const wire = await knock(await listen(server), { path: '/hello' });
    await wire.response();
    expect(await wire.text()).toBe('hello');
  });

  test('gives routers and mounted applications .ws() too, and nobody else', async () => {
    const { app, applyTo } = withWebSockets(express());
    const router = applyTo(express.Router({ mergeParams: true }));
    router.ws('/seats/:seat', (socket, req) => socket.send(JSON.stringify({ ...req.params })));
    app.use('/halls/:hall', router);
    const mounted = applyTo(express());
    mounted.ws('/hello', (socket, req) => socket.send(req.baseUrl));
    app.use('/mounted', mounted);
    const site = await listen(app.listen(0, '127.0.0.1'));
    for (const [path, text] of [
      ['/halls/a/seats/b', '{"hall":"a","seat":"b"}'],
      ['/mounted/hello', '/mounted'],
    ] as const) {
      const wire = await knock(site, { path });
      await wire.response();
      expect(await wire.text()).toBe(text);
    }
    for (const { express } of versions) {
      for (const other of [express(), express.Router(), express.application, express.Router.prototype]) {
        expect(other).not.toHaveProperty('ws');
      }
    }
  });

  test('its middleware is ordinary middleware, and runs before the upgrade is accepted', async () => {
    const { app } = withWebSockets(express());
    const order: string[] = [];
    const note =
      (name: string): RequestHandler =>
      (_req, _res, next) => {
        order.push(name);
        next();
      };
    const refuse: RequestHandler = (_req, res) => void res.status(402).send('pay first');
    app.ws('/open', note('one'), note('two'), note('three'), () => void order.push('handler'));
    app.ws('/listed', [note('four'), note('five')], () => void order.push('handler'));
    app.ws('/paid', refuse, () => void order.push('never'));
    const site = await listen(app.listen(0, '127.0.0.1'));
    for (const path of ['/open', '/listed']) expect((await (await knock(site, { path })).response()).status).toBe(101);
    expect(order).toEqual(['one', 'two', 'three', 'handler', 'four', 'five', 'handler']);
    const refused = await (await knock(site, { path: '/paid' })).lastResponse();
    expect([refused.status, refused.body.toString()]).toEqual([402, 'pay first']);
  });

  test.each([
    ['next(error)', (next: (error: Error) => void, error: Error) => next(error)],
    [
      'throwing',
      (_next: unknown, error: Error) => {
        throw error;
      },
    ],
    ['rejecting', (_next: unknown, error: Error) => Promise.reject(error)],
    ['a late next(error)', (next: (error: Error) => void, error: Error) => void setTimeout(next, 5, error)],
  ])('%s in a handler closes with 1011, and is reported', async (_name, fail) => {
    const error = new Error('the handler failed');
    const errors: unknown[] = [];
    const { app } = withWebSockets(express(), { onError: (one) => errors.push(one) });
    app.ws('/fails', (_socket, _req, next) => fail(next, error));
    const socket = await dial(await listen(app.listen(0, '127.0.0.1')), '/fails');
    const [code] = await once(socket, 'close');
    expect([code, errors]).toEqual([1011, [error]]);
  });

  test('next() in a handler does nothing', async () => {
    const { app } = withWebSockets(express());
    app.ws('/hello', (socket, _req, next) => {
      next();
      socket.on('message', () => socket.send('still here'));
    });
    app.ws('/hello', (socket) => socket.send('never'));
    const socket = await dial(await listen(app.listen(0, '127.0.0.1')), '/hello');
    expect(await exchange(socket, 'are you?')).toBe('still here');
    socket.close();
  });

  test('an ordinary request for the path is left to the next route', async () => {
    const { app } = withWebSockets(express());
    app.ws('/page', () => {});
    app.get('/page', (_req, res) => void res.send('a page'));
    const { authority } = await listen(app.listen(0, '127.0.0.1'));
    expect(await (await fetch(`http://${authority}/page`)).text()).toBe('a page');
  });

  test('takes the options of attach', async () => {
    const { app } = withWebSockets(express(), {
      subprotocols: ['v1.chat'],
      beforeUpgrade: (req) => {
        if (req.query.key !== 'right') throw new Refusal(403);
      },
    });
    app.ws('/chat', () => {});
    const site = await listen(app.listen(0, '127.0.0.1'));
    const headers = { 'Sec-WebSocket-Protocol': 'v1.chat' };
    expect((await (await knock(site, { path: '/chat', headers })).lastResponse()).status).toBe(403);
    const response = await (await knock(site, { path: '/chat?key=right', headers })).response();
    expect([response.status, response.header('sec-websocket-protocol')]).toEqual([101, 'v1.chat']);
  });
});
