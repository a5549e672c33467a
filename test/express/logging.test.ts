import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { websocket } from '@drawbridge/express';
import type { RequestHandler } from 'express';
import morgan from 'morgan';
import { pinoHttp } from 'pino-http';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { knock } from '../behaviour/raw.js';
import { serve, versions } from './serve.js';

/** Each logger with what its lines say of a request: method, path and status. */
const loggers: [string, (log: (line: string) => void) => RequestHandler][] = [
  ['morgan', (log) => morgan(':method :url :status', { stream: { write: (line) => log(line.trim()) } })],
  ['pino-http', (log) => pinoHttp({}, lines(log)) as RequestHandler],
];

function lines(log: (line: string) => void): Writable {
  return new Writable({
    write(chunk, _encoding, done) {
      const { req, res, msg, err } = JSON.parse(String(chunk));
      if (msg === 'request completed' || msg === 'request errored') log(`${req.method} ${req.url} ${res.statusCode}`);
      else log(`${msg} ${err?.message}`);
      done();
    },
  });
}

describe.each(versions)('$name', ({ express }) => {
  describe.each(loggers)('with %s', (_name, createLogger) => {
    async function serveLogged() {
      const log: string[] = [];
      const app = express();
      app.set('env', 'test');
      app.use(createLogger((line) => log.push(line)));
      app.get('/page', (_req, res) => void res.send('page'));
      app.use('/slow', async (_req, _res, next) => {
        await delay(20);
        next();
      });
      app.use('/echo', websocket(echo));
      app.use('/slow', websocket(echo));
      app.use('/login', (_req, res) => void res.redirect(303, '/elsewhere'));
      app.use('/broken', () => {
        throw new Error('broken');
      });
      return { site: await serve(app), log };
    }

    test.each(['/echo', '/slow'])('an accepted upgrade of %s is one line, with 101', async (path) => {
      const { site, log } = await serveLogged();
      const socket = await dial(site, path);
      expect(await exchange(socket, 'across')).toBe('across');
      expect(log).toEqual([`GET ${path} 101`]);
      socket.terminate();
      await expect.poll(() => site.sockets.size).toBe(0);
      expect(log).toEqual([`GET ${path} 101`]);
    });

    test.each([
      ['/echo', 403],
      ['/login', 303],
      ['/broken', 500],
      ['/nowhere', 404],
    ])('a refused upgrade of %s is one line, with %d', async (path, status) => {
      const { site, log } = await serveLogged();
      const wire = await knock(site, { path, headers: { Origin: 'https://evil.example' } });
      expect((await wire.lastResponse()).status).toBe(status);
      await expect.poll(() => site.sockets.size).toBe(0);
      expect(log).toEqual([`GET ${path} ${status}`]);
    });

    test('an ordinary request is one line as before', async () => {
      const { site, log } = await serveLogged();
      await (await fetch(`http://${site.authority}/page`)).text();
      expect(log).toEqual(['GET /page 200']);
    });
  });

  test('with morgan, a client that went away is a line without a status', async () => {
    const log: string[] = [];
    const app = express();
    app.use(morgan(':method :url :status', { stream: { write: (line) => log.push(line.trim()) } }));
    const arrived = latch();
    app.use(() => arrived.open());
    const site = await serve(app);
    const wire = await knock(site);
    await arrived.promise;
    wire.reset();
    await expect.poll(() => log).toEqual(['GET /echo -']);
  });
});
