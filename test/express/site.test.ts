import { type UpgraderOptions, websocket } from '@drawbridge/express';
import type { Application, Request } from 'express';
import { describe, expect, test } from 'vitest';
import { knock } from '../behaviour/raw.js';
import { serve, versions } from './serve.js';

const forwarded = {
  'X-Forwarded-For': '203.0.113.7',
  'X-Forwarded-Proto': 'https',
  'X-Forwarded-Host': 'chat.example:8443',
  Origin: 'https://chat.example:8443',
};

describe.each(versions)("$name: the application's trust proxy", ({ express }) => {
  const tell = websocket((socket, { ip, protocol, hostname }) =>
    socket.send(JSON.stringify({ ip, protocol, hostname })),
  );

  /** What a client behind a proxy gets: the status, and how the handler sees it. */
  async function arrive(
    app: Application,
    headers: Record<string, string>,
    options?: UpgraderOptions<undefined, Request>,
  ) {
    const site = await serve(app, options);
    const wire = await knock(site, { headers });
    const { status } = await wire.response();
    return status === 101 ? JSON.parse(await wire.text()) : status;
  }

  test.each([[true], ['loopback'], [1], [() => true]])(
    'set to %s, says where a page of the same origin is',
    async (trust) => {
      const app = express().use(tell);
      app.set('trust proxy', trust);
      expect(await arrive(app, forwarded)).toEqual({ ip: '203.0.113.7', protocol: 'https', hostname: 'chat.example' });
      expect(await arrive(app, { ...forwarded, Origin: 'http://chat.example:8443' })).toBe(403);
      expect(await arrive(app, { ...forwarded, Origin: 'https://chat.example' })).toBe(403);
    },
  );

  test.each([[false], ['10.0.0.0/8'], [undefined]])('set to %s, believes no header of a client', async (trust) => {
    const app = express().use(tell);
    if (trust !== undefined) app.set('trust proxy', trust);
    expect(await arrive(app, forwarded)).toBe(403);
  });

  test('set after the attachment, counts', async () => {
    const app = express().use(tell);
    const site = await serve(app);
    expect((await (await knock(site, { headers: forwarded })).response()).status).toBe(403);
    app.set('trust proxy', true);
    expect((await (await knock(site, { headers: forwarded })).response()).status).toBe(101);
  });

  test('leaves the scheme open where nobody trusted says it', async () => {
    const app = express().use(tell);
    app.set('trust proxy', true);
    const { 'X-Forwarded-Proto': _, ...unsaid } = forwarded;
    expect(await arrive(app, unsaid)).toMatchObject({ hostname: 'chat.example' });
    expect(await arrive(app, { ...unsaid, Origin: 'http://chat.example:8443' })).toMatchObject({ ip: '203.0.113.7' });
  });

  test('of a mounted application counts there, and only there', async () => {
    const inner = express();
    inner.set('trust proxy', true);
    inner.use('/inner', tell);
    const app = express();
    app.use(inner);
    app.use('/outer', tell);
    const site = await serve(app, { maxConnectionsPerAddress: 100 });
    const status = async (path: string) => (await (await knock(site, { path, headers: forwarded })).response()).status;
    expect([await status('/inner'), await status('/outer')]).toEqual([101, 403]);
  });

  test('of a mounted application may throw, whose addresses are counted by the one that is attached', async () => {
    const inner = express();
    inner.set('trust proxy', () => {
      throw new Error('on purpose');
    });
    inner.use('/at-once', tell);
    inner.use('/later', (_req, _res, next) => void setImmediate(next), tell);
    const site = await serve(express().use(inner), { maxConnectionsPerAddress: 100 });
    for (const path of ['/at-once', '/later']) {
      expect((await (await knock(site, { path, headers: forwarded })).response()).status).toBe(500);
    }
    expect(site.errors).toEqual([new Error('on purpose'), new Error('on purpose')]);
  });

  test('gives way to an explicit trustProxy', async () => {
    const app = express().use(tell);
    expect(await arrive(app, forwarded, { trustProxy: 'loopback' })).toMatchObject({ protocol: 'http' });
    app.set('trust proxy', true);
    expect(await arrive(app, forwarded, { trustProxy: false })).toBe(403);
  });
});
