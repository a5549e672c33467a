import { once } from 'node:events';
import { createServer } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { attach, DrawbridgeError, Refusal, websocket } from '@drawbridge/express';
import type { ErrorRequestHandler } from 'express';
import createError from 'http-errors';
import { describe, expect, test, vi } from 'vitest';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { knock } from '../behaviour/raw.js';
import { open, serve, versions } from './serve.js';

describe.each(versions)('$name: an error that reaches the end of the application', ({ express }) => {
  /** What an upgrade gets if the application's middleware gives this to `next`, and what was reported. */
  async function outcome(error: unknown, prepare: (res: { status(code: number): unknown }) => void = () => {}) {
    const app = express();
    app.use((_req, res, next) => {
      prepare(res);
      next(error);
    });
    app.use(websocket(echo));
    const site = await serve(app);
    const response = await (await knock(site)).lastResponse();
    return { response, status: response.status, body: response.body.toString(), reported: site.errors };
  }

  test('without a status is a 500 that tells the client nothing, and is reported', async () => {
    const error = new Error('the password is hunter2');
    expect(await outcome(error)).toMatchObject({ status: 500, body: 'Internal Server Error', reported: [error] });
  });

  test.each([['a string'], [42], [{ status: 'nonsense' }], [{ status: 99 }], [{ statusCode: 200 }]])(
    '%j is a 500, and is reported',
    async (error) => {
      expect(await outcome(error)).toMatchObject({ status: 500, body: 'Internal Server Error', reported: [error] });
    },
  );

  test('has its own status', async () => {
    expect(await outcome(Object.assign(new Error('secret'), { status: 403 }))).toMatchObject({
      status: 403,
      body: 'Forbidden',
      reported: [],
    });
    expect(await outcome(Object.assign(new Error('secret'), { statusCode: 409 }))).toMatchObject({ status: 409 });
    const unavailable = Object.assign(new Error('secret'), { status: 503 });
    expect(await outcome(unavailable)).toMatchObject({
      status: 503,
      body: 'Service Unavailable',
      reported: [unavailable],
    });
  });

  test('or the one that was set on the response', async () => {
    expect(await outcome(new Error('secret'), (res) => res.status(404))).toMatchObject({
      status: 404,
      body: 'Not Found',
      reported: [],
    });
  });

  test('of http-errors shows its message where that is meant for the client, and its headers', async () => {
    const { response, ...shown } = await outcome(
      createError(401, 'log in first', { headers: { 'WWW-Authenticate': 'Basic' } }),
    );
    expect(shown).toEqual({ status: 401, body: 'log in first', reported: [] });
    expect(response.header('www-authenticate')).toBe('Basic');
    expect(response.header('content-type')).toBe('text/plain; charset=utf-8');
    const { response: retry } = await outcome(createError(429, { headers: { 'Retry-After': 60, 'X-List': ['a', 1] } }));
    expect([retry.header('retry-after'), retry.all('x-list')]).toEqual(['60', ['a', '1']]);
    const hidden = createError(500, 'the password is hunter2');
    expect(await outcome(hidden)).toMatchObject({ status: 500, body: 'Internal Server Error', reported: [hidden] });
  });

  test('with a header that cannot be sent is a 500', async () => {
    const { response, status } = await outcome(createError(401, { headers: { 'X-Split': 'a\r\nSet-Cookie: b=c' } }));
    expect([status, response.all('set-cookie'), response.all('x-split')]).toEqual([500, [], []]);
  });

  test('that is a Refusal is that refusal', async () => {
    const refusal = new Refusal(503, { headers: { 'Retry-After': '5' }, body: 'full' });
    const { response, ...shown } = await outcome(refusal);
    expect(shown).toEqual({ status: 503, body: 'full', reported: [] });
    expect(response.header('retry-after')).toBe('5');
  });

  test('does not keep the content headers of an answer that was never sent', async () => {
    const app = express();
    app.use((_req, res, next) => {
      res.set({
        'Content-Encoding': 'gzip',
        'Content-Language': 'nl',
        'Content-Range': 'bytes 0-1/2',
        'X-Kept': 'yes',
      });
      next(createError(410, 'gone'));
    });
    const site = await serve(app);
    const response = await (await knock(site)).lastResponse();
    expect([response.status, response.body.toString(), response.header('x-kept')]).toEqual([410, 'gone', 'yes']);
    for (const name of ['content-encoding', 'content-language', 'content-range'])
      expect(response.all(name)).toEqual([]);
  });

  test('is reported once if a policy failed, and is a Refusal with its cause for error handlers', async () => {
    const broken = new Error('the policy is broken');
    const seen: unknown[] = [];
    const app = express();
    app.use(
      websocket(
        {
          checkOrigin() {
            throw broken;
          },
        },
        echo,
      ),
    );
    app.use(((error, _req, _res, next) => {
      seen.push(error);
      next(error);
    }) satisfies ErrorRequestHandler);
    const site = await serve(app);
    expect((await (await knock(site)).lastResponse()).status).toBe(500);
    expect(site.errors).toEqual([broken]);
    expect(seen).toEqual([expect.objectContaining({ name: 'Refusal', status: 500, cause: broken })]);
  });

  test('after the upgrade was accepted is reported, and harms nobody', async () => {
    const app = express();
    const late = new Error('too late');
    let fail: (error: Error) => void = () => {};
    app.use((_req, _res, next) => {
      fail = next;
      next();
    });
    app.use(websocket((socket) => socket.send('welcome')));
    const site = await serve(app);
    const wire = await knock(site);
    expect((await wire.response()).status).toBe(101);
    expect(await wire.text()).toBe('welcome');
    fail(late);
    await expect.poll(() => site.errors).toEqual([late]);
    expect(site.upgrader.connections.size).toBe(1);
  });

  test('is nothing to error handlers once the client has gone', async () => {
    const app = express();
    const seen: unknown[] = [];
    const asked = latch();
    const answered = latch();
    app.use(
      websocket(
        {
          async beforeUpgrade(_req, { signal }) {
            asked.open();
            await once(signal, 'abort');
            setImmediate(answered.open);
            throw new Refusal(403);
          },
        },
        echo,
      ),
    );
    app.use(((error, _req, _res, next) => {
      seen.push(error);
      next(error);
    }) satisfies ErrorRequestHandler);
    const site = await serve(app);
    const wire = await knock(site);
    await asked.promise;
    wire.reset();
    await answered.promise;
    expect([seen, site.errors]).toEqual([[], []]);
  });

  test.each(['accepted', 'refused', 'left over'])('and a next() too many after it was %s does nothing', async (how) => {
    const app = express();
    let again: () => void = () => {};
    app.use((_req, _res, next) => {
      again = next;
      next();
    });
    if (how === 'accepted') app.use(websocket(echo), websocket(echo));
    if (how === 'refused') app.use((_req, res) => void res.sendStatus(403));
    const site = await serve(app);
    await (await knock(site)).response();
    again();
    await nextTurn();
    await nextTurn();
    expect(site.errors).toEqual([]);
  });
});

describe.each(versions)('$name: where attach was forgotten', ({ express }) => {
  async function serveForgotten(env: string) {
    const app = express();
    app.set('env', env);
    app.use('/echo', websocket(echo));
    const server = createServer(app);
    return open(server, { close: async () => {} });
  }

  test('the first upgrade gets 500, and the log says what to call', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {});
    const site = await serveForgotten('production');
    const response = await (await knock(site)).response();
    expect(response.status).toBe(500);
    await expect.poll(() => log.mock.calls.join()).toContain('attach(server, app)');
    log.mockRestore();
  });

  test('error handlers know it by its code', async () => {
    const errors: unknown[] = [];
    const app = express();
    app.use(websocket(echo));
    app.use(((error, _req, res, _next) => {
      errors.push(error);
      res.sendStatus(500);
    }) satisfies ErrorRequestHandler);
    const site = await open(createServer(app), { close: async () => {} });
    expect((await (await knock(site)).response()).status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ code: 'NOT_ATTACHED' })]);
  });

  test.each([
    ['an ordinary request', { Upgrade: null, Connection: null }],
    ['another protocol', { Upgrade: 'h2c' }],
    ['an Upgrade that Connection does not announce', { Connection: 'keep-alive' }],
  ])('%s is nothing to complain of', async (_name, headers) => {
    const site = await serveForgotten('test');
    expect((await (await knock(site, { headers })).response()).status).toBe(404);
  });
});

describe.each(versions)('$name: mistakes', ({ express }) => {
  test('in options are told when the application starts', () => {
    const codes = [
      () => websocket({ maxPayload: -1 }, echo),
      () => websocket(undefined as never),
      () => websocket({ subprotocols: ['not a token'] }, echo),
      () => attach(createServer(), express(), { handshakeTimeout: -1 }),
      () => attach(createServer(), express(), { maxPayload: -1 }),
    ].map((mistake) => {
      try {
        mistake();
        return 'nothing';
      } catch (error) {
        return error instanceof DrawbridgeError ? error.code : error;
      }
    });
    expect(codes).toEqual(Array(5).fill('INVALID_OPTION'));
  });
});
