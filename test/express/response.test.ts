import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { websocket } from '@drawbridge/express';
import type { RequestHandler, Response } from 'express';
import onFinished from 'on-finished';
import onHeaders from 'on-headers';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { knock, type Wire } from '../behaviour/raw.js';
import { serve, versions } from './serve.js';

/** Notes what middleware can hang on a response. */
function watch(): { middleware: RequestHandler; events: string[]; response: Promise<Response> } {
  const events: string[] = [];
  const response = latch<Response>();
  const middleware: RequestHandler = (_req, res, next) => {
    response.open(res);
    onHeaders(res, () => events.push(`headers ${res.statusCode}`));
    onFinished(res, () => events.push(`finished ${res.statusCode}`));
    const { end } = res;
    res.end = (...args: unknown[]) => {
      events.push('end');
      return end.apply(res, args as never);
    };
    res.once('finish', () => events.push('finish'));
    res.on('close', () => events.push('close'));
    next();
  };
  return { middleware, events, response: response.promise };
}

describe.each(versions)('$name: what middleware hangs on the response', ({ express }) => {
  test('happens once for an accepted upgrade, as a 101', async () => {
    const app = express();
    const { middleware, events, response } = watch();
    app.use(middleware);
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    const socket = await dial(site, '/echo');
    expect(await exchange(socket, 'across')).toBe('across');
    const res = await response;
    if (!res.closed) await once(res, 'close');
    expect(events.toSorted()).toEqual(['close', 'end', 'finish', 'finished 101', 'headers 101']);
    expect([res.headersSent, res.writableEnded, res.writableFinished, res.closed]).toEqual([true, true, true, true]);
    socket.close();
  });

  test('be it nothing but listeners, is told of a whole response, and nothing more can be sent of that', async () => {
    const app = express();
    const told: unknown[] = [];
    const closed = latch();
    app.use((_req, res, next) => {
      res.once('prefinish', () => told.push('prefinish'));
      res.once('finish', () => {
        told.push(['finish', res.writableFinished]);
        res.flushHeaders();
      });
      res.once('close', () => {
        told.push(['close', res.writableFinished]);
        closed.open();
      });
      next();
    });
    app.use('/echo', websocket(echo));
    const socket = await dial(await serve(app), '/echo');
    expect(await exchange(socket, 'across')).toBe('across');
    await closed.promise;
    expect(told).toEqual(['prefinish', ['finish', true], ['close', true]]);
    socket.close();
  });

  test('may come after next() has returned, and much later', async () => {
    const app = express();
    const closed = latch<Response>();
    app.use((_req, res, next) => {
      next();
      res.once('close', () => closed.open(res));
    });
    app.use('/echo', websocket(echo));
    const socket = await dial(await serve(app), '/echo');
    const res = await closed.promise;
    expect([res.destroyed, res.closed]).toEqual([true, true]);
    await expect(finished(res)).rejects.toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
    socket.close();
  });

  test('happens once for a refused upgrade, with its status', async () => {
    const app = express();
    const { middleware, events, response } = watch();
    app.use(middleware);
    app.use('/echo', websocket({ checkOrigin: () => false }, echo));
    const site = await serve(app);
    expect((await (await knock(site)).lastResponse()).status).toBe(403);
    const res = await response;
    if (!res.closed) await once(res, 'close');
    expect(events.toSorted()).toEqual(['close', 'end', 'finish', 'finished 403', 'headers 403']);
  });

  test('is told when the client goes away before the decision', async () => {
    const app = express();
    const { middleware, events, response } = watch();
    app.use(middleware, () => {});
    const site = await serve(app);
    const wire = await knock(site);
    const res = await response;
    const closed = once(res, 'close');
    wire.reset();
    await closed;
    expect(events.filter((event) => event !== 'finished 200')).toEqual(['close']);
    expect([res.closed, res.writableFinished]).toEqual([true, false]);
  });

  test('is told when nobody decides in time', async () => {
    const app = express();
    const { middleware, response } = watch();
    app.use(middleware, () => {});
    const site = await serve(app, { handshakeTimeout: 50 });
    const wire = await knock(site);
    const closed = response.then((res) => once(res, 'close'));
    expect((await wire.lastResponse()).status).toBe(408);
    await closed;
  });
});

describe.each(versions)('$name: a refusal that the application sends itself', ({ express }) => {
  const body = randomBytes(4 * 1024 * 1024);

  test('may be a stream that the client reads more slowly than it comes', async () => {
    const app = express();
    const begun = latch<Response>();
    app.use((_req, res) => {
      res.status(403);
      Readable.from(slices(body)).pipe(res);
      begun.open(res);
    });
    const site = await serve(app);
    const wire = await knock(site);
    wire.pause();
    const res = await begun.promise;
    await expect.poll(() => res.writableNeedDrain).toBe(true);
    wire.resume();
    const response = await wire.lastResponse();
    expect(response.status).toBe(403);
    expect(response.body.equals(body)).toBe(true);
  });

  test('of which it never sends the end is cut off with the client', async () => {
    const app = express();
    const begun = latch<Response>();
    app.use((_req, res) => {
      res.status(403).write('half of it');
      begun.open(res);
    });
    const site = await serve(app);
    const wire = await knock(site);
    const res = await begun.promise;
    const closed = once(res, 'close');
    wire.reset();
    await closed;
    expect(res.writableFinished).toBe(false);
  });

  test('and fails half-way is not made to look whole', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.status(403).set('Content-Length', '100').write('half of it');
      next(new Error('the other half is lost'));
    });
    const site = await serve(app);
    const wire = await knock(site);
    await wire.ending();
    expect(wire.unread.toString()).toContain('half of it');
    expect(site.errors).toEqual([expect.objectContaining({ message: 'the other half is lost' })]);
  });
});

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 16 * 1024) yield bytes.subarray(at, at + 16 * 1024);
}

describe.each(versions)('$name: an answer that cannot be finished', ({ express }) => {
  test('because its end throws is refused with 500, and reported', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.end = () => {
        throw new Error('the end is broken');
      };
      next();
    });
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(500);
    expect(response.body.toString()).not.toContain('broken');
    expect(site.errors).toEqual([expect.objectContaining({ message: 'the end is broken' })]);
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('because its end never comes is refused with 408', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.end = () => res;
      next();
    });
    app.use('/echo', websocket(echo));
    const site = await serve(app, { handshakeTimeout: 50 });
    expect((await (await knock(site)).lastResponse()).status).toBe(408);
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('before the client goes away harms nobody else', async () => {
    const app = express();
    const ended = latch();
    const finishes: (() => void)[] = [];
    app.use('/echo', (_req, res, next) => {
      const { end } = res;
      res.end = () => {
        finishes.push(end.bind(res) as () => void);
        ended.open();
        return res;
      };
      next();
    });
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    const wire = await knock(site);
    await ended.promise;
    wire.reset();
    await expect.poll(() => site.sockets.size).toBe(0);
    for (const finish of finishes) finish();
    expect(site.upgrader.connections.size).toBe(0);
    expect(site.errors).toEqual([]);
  });
});

describe.each(versions)('$name: middleware that is late', ({ express }) => {
  const ends: Record<string, (wire: Wire) => unknown> = {
    'with its time up': async (wire) => expect((await wire.lastResponse()).status).toBe(408),
    'with its client gone': (wire) => wire.reset(),
  };

  test.each(Object.entries(ends))('leads an upgrade, %s, to no ordinary handler', async (_name, end) => {
    const app = express();
    const ran: string[] = [];
    const over = latch();
    const late = latch();
    const begun = latch();
    app.use(async (_req, res, next) => {
      res.once('close', () => over.open());
      begun.open();
      await over.promise;
      next();
      late.open();
    });
    app.use(websocket(() => void ran.push('socket')));
    app.use((_req, res) => {
      ran.push('page');
      res.send('a page');
    });
    const wire = await knock(await serve(app, { handshakeTimeout: 50 }));
    await begun.promise;
    await end(wire);
    await late.promise;
    expect(ran).toEqual([]);
  });
});
