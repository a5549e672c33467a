import { gunzipSync } from 'node:zlib';
import { Refusal, websocket } from '@drawbridge/express';
import compression from 'compression';
import cookieParser from 'cookie-parser';
import cors from 'cors';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { echo } from '../behaviour/echo.js';
import { knock, textFrame } from '../behaviour/raw.js';
import { serve, versions } from './serve.js';

describe.each(versions)('$name with cookie-parser', ({ express }) => {
  test('cookies, signed ones too, are read before the decision, and may be set', async () => {
    const app = express();
    app.use(cookieParser('a secret for the tests'));
    app.get('/sign', (_req, res) => {
      res.cookie('name', 'ada', { signed: true }).end();
    });
    app.use(
      '/echo',
      (req, res, next) => {
        if (req.signedCookies.name !== 'ada') return res.sendStatus(401);
        res.cookie('seen', 'yes', { httpOnly: true });
        res.cookie('asked', req.cookies.question, { signed: true });
        res.clearCookie('old');
        next();
      },
      websocket((socket, req) => socket.send(`${req.signedCookies.name} asks ${req.cookies.question}`)),
    );
    const site = await serve(app);
    const signed = (await fetch(`http://${site.authority}/sign`)).headers.get('set-cookie')?.split(';', 1)[0];
    const wire = await knock(site, { headers: { Cookie: `${signed}; question=why` } });
    const response = await wire.response();
    expect(response.status).toBe(101);
    expect(response.all('set-cookie')).toEqual([
      'seen=yes; Path=/; HttpOnly',
      expect.stringMatching(/^asked=s%3Awhy\..*; Path=\/$/),
      'old=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    ]);
    expect(await wire.text()).toBe('ada asks why');
    const forged = await knock(site, { headers: { Cookie: 'name=s%3Aada.forged' } });
    expect((await forged.lastResponse()).status).toBe(401);
  });
});

describe.each(versions)('$name with helmet', ({ express }) => {
  test('its headers are on the 101 and on refusals, and hinder neither', async () => {
    const app = express();
    app.use(helmet());
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    const wire = await knock(site);
    const accepted = await wire.response();
    const refused = await (await knock(site, { headers: { Origin: 'https://evil.example' } })).lastResponse();
    expect([accepted.status, refused.status]).toEqual([101, 403]);
    for (const response of [accepted, refused]) {
      expect(response.header('content-security-policy')).toContain("default-src 'self'");
      expect(response.header('strict-transport-security')).toContain('max-age=');
      expect(response.all('x-powered-by')).toEqual([]);
    }
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });
});

describe.each(versions)('$name with cors', ({ express }) => {
  test('it neither lets in an origin that is refused here, nor keeps out one that is not', async () => {
    const app = express();
    app.use(cors({ origin: 'https://friend.example', credentials: true }));
    app.use('/own', websocket(echo));
    app.use('/shared', websocket({ checkOrigin: (origin) => origin === 'https://friend.example' }, echo));
    const site = await serve(app);
    const ask = async (path: string, Origin: string) => {
      const response = await (await knock(site, { path, headers: { Origin } })).response();
      return [response.status, response.header('access-control-allow-origin')];
    };
    expect(await ask('/own', `http://${site.authority}`)).toEqual([101, 'https://friend.example']);
    expect(await ask('/own', 'https://friend.example')).toEqual([403, 'https://friend.example']);
    expect(await ask('/shared', 'https://friend.example')).toEqual([101, 'https://friend.example']);
    expect(await ask('/shared', 'https://evil.example')).toEqual([403, 'https://friend.example']);
  });
});

describe.each(versions)('$name with compression', ({ express }) => {
  const body = 'There is no room here. '.repeat(1_000);

  test.each(['the application', 'a Refusal'])('a refusal by %s arrives whole, compressed or not', async (by) => {
    const app = express();
    app.use(compression());
    if (by === 'the application') app.use((_req, res) => void res.status(403).type('text/plain').send(body));
    app.use(
      websocket(
        {
          beforeUpgrade() {
            throw new Refusal(403, { body });
          },
        },
        echo,
      ),
    );
    const site = await serve(app);
    const zipped = await (await knock(site, { headers: { 'Accept-Encoding': 'gzip' } })).lastResponse();
    expect([zipped.status, zipped.header('content-encoding')]).toEqual([403, 'gzip']);
    expect(zipped.body.length).toBeLessThan(body.length / 10);
    expect(gunzipSync(zipped.body).toString()).toBe(body);
    const plain = await (await knock(site)).lastResponse();
    expect([plain.status, plain.all('content-encoding'), plain.body.toString()]).toEqual([403, [], body]);
  });

  test('an accepted upgrade is left as it is', async () => {
    const app = express();
    app.use(compression({ threshold: 0 }));
    app.use(websocket(echo));
    const site = await serve(app);
    const wire = await knock(site, { headers: { 'Accept-Encoding': 'gzip' } });
    const response = await wire.response();
    expect([response.status, response.all('content-encoding')]).toEqual([101, []]);
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });
});

describe.each(versions)('$name with express-rate-limit', ({ express }) => {
  test('who comes too often gets its 429, whole', async () => {
    const app = express();
    app.use(
      rateLimit({ windowMs: 60_000, limit: 2, standardHeaders: 'draft-6', legacyHeaders: false, message: 'slowly' }),
    );
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    for (const left of ['1', '0']) {
      const response = await (await knock(site)).response();
      expect([response.status, response.header('ratelimit-remaining')]).toEqual([101, left]);
    }
    const response = await (await knock(site)).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([429, 'slowly']);
    expect(Number(response.header('retry-after'))).toBeGreaterThan(0);
  });

  test('it can count the failed ones only, for it knows how an upgrade ended', async () => {
    const app = express();
    app.use(
      rateLimit({
        windowMs: 60_000,
        limit: 1,
        skipSuccessfulRequests: true,
        requestWasSuccessful: (_req, res) => res.statusCode === 101,
      }),
    );
    app.use('/echo', websocket(echo));
    const site = await serve(app);
    for (let i = 0; i < 3; i++) {
      const socket = await dial(site, '/echo');
      expect(await exchange(socket, 'across')).toBe('across');
      socket.close();
    }
    const evil = { headers: { Origin: 'https://evil.example' } };
    expect((await (await knock(site, evil)).lastResponse()).status).toBe(403);
    expect((await (await knock(site, evil)).lastResponse()).status).toBe(429);
  });
});

describe.each(versions)("$name's own parsers", ({ express }) => {
  test.each([[{}], [{ 'Content-Length': '0' }], [{ 'Content-Type': 'application/json', 'Content-Length': '0' }]])(
    'do not wait for a body that an upgrade has not (%j)',
    async (headers) => {
      const app = express();
      app.use(express.json(), express.urlencoded({ extended: false }), express.text());
      app.use('/echo', websocket(echo));
      const site = await serve(app, { handshakeTimeout: 1_000 });
      expect((await (await knock(site, { headers })).response()).status).toBe(101);
    },
  );
});
