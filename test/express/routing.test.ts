import { websocket } from '@drawbridge/express';
import express5, { type ErrorRequestHandler, type Request, type RequestHandler } from 'express';
import express4 from 'express4';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { knock } from '../behaviour/raw.js';
import { type Served, serve, versions } from './serve.js';

/** Says how the request arrived. */
const tell = websocket((socket, req) => {
  const { baseUrl, url, originalUrl, params } = req;
  socket.send(JSON.stringify({ baseUrl, url, originalUrl, params: { ...params } }));
});

async function told(site: Served, path: string): Promise<Record<string, unknown>> {
  const wire = await knock(site, { path });
  const { status } = await wire.response();
  return status === 101 ? JSON.parse(await wire.text()) : { status };
}

/** Renders every error that comes to it, and says where it stands. */
function errorPage(where: string): ErrorRequestHandler {
  return (error, _req, res, _next) => {
    res
      .status(error.status ?? 500)
      .set('X-Handled-By', where)
      .json({ error: error.message });
  };
}

describe.each(versions)('$name: routing', ({ express }) => {
  test('app.param runs before, and may refuse', async () => {
    const app = express();
    const rooms = new Map([['1', 'lobby']]);
    app.param('room', (req, res, next, id: string) => {
      const room = rooms.get(id);
      if (!room) return res.status(404).send('no such room');
      Object.assign(req, { room });
      next();
    });
    app.get(
      '/rooms/:room',
      websocket((socket, req) => socket.send((req as typeof req & { room: string }).room)),
    );
    const site = await serve(app);
    const wire = await knock(site, { path: '/rooms/1' });
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('lobby');
    const refused = await (await knock(site, { path: '/rooms/2' })).lastResponse();
    expect([refused.status, refused.body.toString()]).toEqual([404, 'no such room']);
  });

  test('nested routers, with and without the params of what they are mounted on', async () => {
    const app = express();
    const leaf = (mergeParams: boolean) => express.Router({ mergeParams }).get('/seats/:seat', tell);
    const middle = express.Router({ mergeParams: true });
    middle.use('/rows/:row', leaf(true));
    middle.use('/lone/:row', leaf(false));
    app.use('/halls/:hall', middle);
    const site = await serve(app);
    expect(await told(site, '/halls/a/rows/b/seats/c?d=e')).toEqual({
      baseUrl: '/halls/a/rows/b',
      url: '/seats/c?d=e',
      originalUrl: '/halls/a/rows/b/seats/c?d=e',
      params: { hall: 'a', row: 'b', seat: 'c' },
    });
    expect(await told(site, '/halls/a/lone/b/seats/c')).toMatchObject({ params: { seat: 'c' } });
    expect(await told(site, '/halls/a/seats/c')).toEqual({ status: 404 });
  });

  test('mounted applications, at any depth', async () => {
    const app = express();
    const inner = express();
    const innermost = express();
    innermost.get('/:leaf', tell);
    inner.use('/b', innermost);
    app.use('/a', inner);
    const site = await serve(app);
    expect(await told(site, '/a/b/c')).toEqual({
      baseUrl: '/a/b',
      url: '/c',
      originalUrl: '/a/b/c',
      params: { leaf: 'c' },
    });
  });

  test('arrays of paths, regular expressions, arrays of middleware, app.route and app.all', async () => {
    const app = express();
    const pass: RequestHandler = (_req, _res, next) => next();
    app.get(['/one', /^\/tw(o+)$/], [pass, pass], tell);
    app.route('/three').all(pass).get(tell);
    app.all('/four', tell);
    const site = await serve(app);
    for (const path of ['/one', '/two', '/twooo', '/three', '/four']) {
      expect(await told(site, path)).toMatchObject({ originalUrl: path });
    }
    expect(await told(site, '/tw')).toEqual({ status: 404 });
  });

  test('what somebody in front of the application has put on the request is still there', async () => {
    const app = express();
    app.use(
      '/echo',
      websocket((socket, { originalUrl }) => socket.send(originalUrl)),
    );
    const site = await serve(app);
    site.server.prependListener('upgrade', (request: Request) => {
      request.originalUrl = request.url;
      request.url = request.url.replace('/api/', '/');
    });
    const wire = await knock(site, { path: '/api/echo' });
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('/api/echo');
  });

  test("next('route') and next('router') leave as they do for any request", async () => {
    const app = express();
    const router = express.Router();
    app.get(
      '/skip',
      (_req, _res, next) => next('route'),
      (_req, res) => void res.sendStatus(500),
    );
    app.get('/skip', tell);
    router.get(
      '/away',
      (_req, _res, next) => next('router'),
      (_req, res) => void res.sendStatus(500),
    );
    app.use(router);
    app.get('/away', tell);
    app.use('/nowhere', (_req, _res, next) => next('router'));
    const site = await serve(app);
    expect(await told(site, '/skip')).toMatchObject({ originalUrl: '/skip' });
    expect(await told(site, '/away')).toMatchObject({ originalUrl: '/away' });
    expect(await told(site, '/nowhere')).toEqual({ status: 404 });
  });

  test('other methods and ordinary requests of the same path are not touched', async () => {
    const app = express();
    app.use('/page', websocket(echo));
    app.get('/page', (_req, res) => void res.send('a page'));
    app.post('/page', (_req, res) => void res.send('a form'));
    const site = await serve(app);
    const ask = async (method: string) => (await fetch(`http://${site.authority}/page`, { method })).text();
    expect([await ask('GET'), await ask('POST')]).toEqual(['a page', 'a form']);
    expect(await exchange(await dial(site, '/page'), 'across')).toBe('across');
  });

  test('one middleware may stand in two places and two applications, each with its own defaults', async () => {
    const shared = websocket((socket) => socket.send(socket.protocol));
    const sites = [];
    for (const protocol of ['v1.chat', 'v2.chat']) {
      const app = express();
      app.use(['/a', '/b'], shared);
      sites.push(await serve(app, { subprotocols: [protocol] }));
    }
    const headers = { 'Sec-WebSocket-Protocol': 'v1.chat, v2.chat' };
    for (const [index, site] of sites.entries()) {
      for (const path of ['/a', '/b']) {
        const response = await (await knock(site, { path, headers })).response();
        expect(response.header('sec-websocket-protocol')).toBe(`v${index + 1}.chat`);
      }
    }
  });
});

describe.each(versions)('$name: error handlers', ({ express }) => {
  const refuse = websocket({ checkOrigin: () => false }, () => {});

  test('the nearest one renders a refusal, at each level', async () => {
    const app = express();
    const sub = express();
    const router = express.Router();
    router.get('/refused', refuse);
    router.use('/handled', refuse, errorPage('router'));
    sub.use('/router', router);
    sub.use('/handled', refuse);
    sub.use('/handled', errorPage('sub-application'));
    app.use('/sub', sub);
    app.use('/sub', errorPage('path'));
    app.use('/other', refuse);
    app.use(errorPage('application'));
    const site = await serve(app);
    for (const [path, where] of [
      ['/sub/router/handled', 'router'],
      ['/sub/handled', 'sub-application'],
      ['/sub/router/refused', 'path'],
      ['/other', 'application'],
    ] as const) {
      const response = await (await knock(site, { path })).lastResponse();
      expect([response.status, response.header('x-handled-by')]).toEqual([403, where]);
      expect(JSON.parse(response.body.toString())).toEqual({ error: 'This origin may not connect here.' });
    }
    expect(site.errors).toEqual([]);
  });

  test('one may let in, in spite of an error before', async () => {
    const app = express();
    app.use((_req, _res, next) => next(new Error('the greeter is ill')));
    app.use(((_error, _req, _res, next) => next()) satisfies ErrorRequestHandler);
    app.use(websocket(echo));
    const site = await serve(app);
    expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
    expect(site.errors).toEqual([]);
  });

  test('one that fails itself is refused with 500, and reported', async () => {
    const broken = new Error('the error page is broken');
    const app = express();
    app.use(refuse);
    app.use(((_error, _req, _res, _next) => {
      throw broken;
    }) satisfies ErrorRequestHandler);
    const site = await serve(app);
    const response = await (await knock(site)).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([500, 'Internal Server Error']);
    expect(site.errors).toEqual([broken]);
  });
});

describe('Express 4 beside Express 5 in one tree', () => {
  test.each([
    ['4 mounted in 5', express5, express4],
    ['5 mounted in 4', express4, express5],
  ])('%s: both accept, refuse and set headers', async (_name, outer, inner) => {
    const app = outer();
    const mounted = inner();
    mounted.use((_req, res, next) => {
      res.cookie('seen', 'yes');
      next();
    });
    mounted.get('/rooms/:room', tell);
    mounted.use('/closed', (_req, res) => void res.status(403).json({ closed: true }));
    app.use('/inner', mounted);
    app.use('/router', inner.Router().get('/rooms/:room', tell));
    app.get('/rooms/:room', tell);
    const site = await serve(app);
    const wire = await knock(site, { path: '/inner/rooms/a' });
    expect((await wire.response()).all('set-cookie')).toEqual(['seen=yes; Path=/']);
    expect(JSON.parse(await wire.text())).toMatchObject({ baseUrl: '/inner', params: { room: 'a' } });
    expect(await told(site, '/router/rooms/b')).toMatchObject({ baseUrl: '/router', params: { room: 'b' } });
    expect(await told(site, '/rooms/c')).toMatchObject({ baseUrl: '', params: { room: 'c' } });
    const refused = await (await knock(site, { path: '/inner/closed' })).lastResponse();
    expect([refused.status, refused.body.toString()]).toEqual([403, '{"closed":true}']);
  });

  test('each on a server of its own, with the same middleware', async () => {
    const sites = await Promise.all(versions.map(({ express }) => serve(express().use('/echo', tell))));
    for (const site of sites) expect(await told(site, '/echo/x')).toMatchObject({ baseUrl: '/echo', url: '/x' });
  });

  test('neither prototype is touched, nor is listen', async () => {
    const prototypes = () =>
      versions.flatMap(({ express }) => {
        const { application, request, response, Router } = express;
        return [application, request, response, Router, Object.getPrototypeOf(Router)].map((it) => Reflect.ownKeys(it));
      });
    const before = prototypes();
    for (const { express } of versions) {
      const app = express();
      const { listen } = app;
      app.use(tell);
      expect(await told(await serve(app), '/')).toMatchObject({ url: '/' });
      expect(app.listen).toBe(listen);
    }
    expect(prototypes()).toEqual(before);
  });
});
