import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as drawbridge from '@drawbridge/express';
import { generate } from 'selfsigned';
import { io } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { anyPort, openSockets, type Site, siteOf } from '../behaviour/hosts/host.js';
import { knock } from '../behaviour/raw.js';
import { versions } from './serve.js';

const repository = join(import.meta.dirname, '../..');
const folder = join(import.meta.dirname, 'recipes');

describe('the examples of', () => {
  test.each(['express.md', 'moving-from-express-ws.md'])('docs/%s are the programs that are run here', async (page) => {
    const markdown = await readFile(join(repository, 'docs', page), 'utf8');
    const examples = [...markdown.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string);
    const names = await readdir(folder);
    const recipes = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
    expect(examples.length).toBeGreaterThan(0);
    expect(examples.filter((example) => !recipes.some((recipe) => recipe.includes(example)))).toEqual([]);
  });
});

describe.each(versions)('$name: the recipe', ({ express }) => {
  // Each recipe runs anew, on this version of Express and the one Drawbridge that there is.
  beforeEach(() => {
    vi.resetModules();
    vi.doMock('express', () => ({ ...express, default: express }));
    vi.doMock('@drawbridge/express', () => drawbridge);
  });

  afterEach(() => {
    vi.doUnmock('express');
    vi.doUnmock('@drawbridge/express');
  });

  /** Runs a recipe as it stands, but for the port, until the test ends. */
  async function start(recipe: string): Promise<Site & { exports: Record<string, unknown> }> {
    const { listen } = Server.prototype;
    const whenListening: Promise<Site>[] = [];
    Server.prototype.listen = function (this: Parameters<typeof openSockets>[0] & Server) {
      const secure = 'setSecureContext' in this;
      const sockets = openSockets(this);
      const site = () => siteOf(this, { close: async () => {} } as never, secure, sockets, async () => this.close());
      whenListening.push(once(this, 'listening').then(site));
      return listen.call(this, anyPort);
    } as typeof listen;
    try {
      expect((await import('express')).default).toBe(express);
      const exports = await import(`./recipes/${recipe}.ts`);
      const [site] = await Promise.all(whenListening);
      if (!site) throw new Error(`${recipe} does not listen.`);
      onTestFinished(() => site.stop());
      return { ...site, exports };
    } finally {
      Server.prototype.listen = listen;
    }
  }

  /** The refusal's status and body, or the first message. */
  async function hear(site: Site, path: string, headers: Record<string, string> = {}): Promise<[number, string]> {
    const wire = await knock(site, { path, headers });
    const response = await wire.response();
    return [response.status, response.status === 101 ? await wire.text() : response.body.toString()];
  }

  async function fetchFrom({ authority }: Site, path: string, Cookie = '') {
    const response = await fetch(`http://${authority}${path}`, { headers: { Cookie } });
    return { text: await response.text(), cookie: response.headers.get('set-cookie')?.split(';', 1)[0] ?? '' };
  }

  test('start', async () => {
    const before = process.listeners('SIGTERM');
    const site = await start('start');
    const [onTerminate] = process.listeners('SIGTERM').filter((listener) => !before.includes(listener));
    if (!onTerminate) throw new Error('Nobody waits for SIGTERM.');
    process.off('SIGTERM', onTerminate);
    const socket = await dial(site, '/rooms/lobby', { protocols: ['v1.chat'] });
    expect(await exchange(socket, 'good evening')).toBe('lobby: good evening');
    expect(await hear(site, '/rooms/cellar')).toEqual([404, 'No such room.']);
    const closed = once(socket, 'close');
    onTerminate('SIGTERM');
    expect((await closed)[0]).toBe(1001);
  });

  test('rooms', async () => {
    const site = await start('rooms');
    expect(await hear(site, '/halls/a/seats/b')).toEqual([101, 'hall a, seat b']);
    expect(await hear(site, '/rooms/c')).toEqual([101, 'room c']);
    expect(await hear(site, '/feed')).toEqual([101, 'as a WebSocket']);
    expect((await fetchFrom(site, '/feed')).text).toBe('as a page');
  });

  test('session', async () => {
    const site = await start('session');
    const wire = await knock(site, { path: '/count' });
    const Cookie = (await wire.response()).header('set-cookie')?.split(';', 1)[0] ?? '';
    expect(await hear(site, '/count', { Cookie })).toEqual([101, 'visit 2']);
    const socket = await dial(site, '/count', { headers: { Cookie } });
    socket.send('good night');
    await expect.poll(async () => (await fetchFrom(site, '/last-word', Cookie)).text).toBe('good night');
    socket.close();
  });

  test('passport', async () => {
    const site = await start('passport');
    expect(await hear(site, '/feed', { Authorization: 'Bearer a-token-of-ada' })).toEqual([101, 'welcome, ada']);
    expect(await hear(site, '/feed')).toEqual([401, 'Unauthorized']);
    expect(await hear(site, '/private')).toEqual([401, 'Log in first.']);
    const { cookie: Cookie } = await fetchFrom(site, '/login/ada');
    expect(await hear(site, '/private', { Cookie })).toEqual([101, 'welcome, ada']);
  });

  test('middleware', async () => {
    const lines: string[] = [];
    const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((line) => lines.push(String(line)) > 0);
    onTestFinished(() => stdout.mockRestore());
    const site = await start('middleware');
    for (let i = 0; i < 5; i++) {
      const response = await (await knock(site)).response();
      expect([response.status, response.header('x-frame-options')]).toEqual([101, 'SAMEORIGIN']);
      expect(response.header('set-cookie')).toContain('seen=yes');
    }
    const response = await (await knock(site)).lastResponse();
    expect([response.status, response.body.toString()]).toEqual([429, expect.stringContaining('Too many')]);
    const statuses = () => lines.map((line) => /^GET \/echo (\d+)/.exec(line)?.[1]).filter(Boolean);
    await expect.poll(statuses).toEqual(['101', '101', '101', '101', '101', '429']);
  });

  test('errors', async () => {
    const site = await start('errors');
    expect(await hear(site, '/rooms?name=ada')).toEqual([101, 'welcome, ada']);
    const bad = '{"error":"REFUSED_400","message":"Say who you are."}';
    expect(await hear(site, '/rooms')).toEqual([400, bad]);
    const foreign = '{"error":"ORIGIN_REFUSED","message":"This origin may not connect here."}';
    expect(await hear(site, '/rooms', { Origin: 'https://evil.example' })).toEqual([403, foreign]);
  });

  test('proxy', async () => {
    const site = await start('proxy');
    const headers = {
      'X-Forwarded-For': '203.0.113.7',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'chat.example',
      Origin: 'https://chat.example',
    };
    expect(await hear(site, '/whoami', headers)).toEqual([101, '203.0.113.7 by https to chat.example']);
    expect((await hear(site, '/whoami', { ...headers, Origin: 'http://chat.example' }))[0]).toBe(403);
  });

  test('from-express-ws', async () => {
    const site = await start('from-express-ws');
    expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
    expect(await hear(site, '/chat/rooms/lobby')).toEqual([401, 'You need a key.']);
    const [ada, bob] = [await dial(site, '/chat/rooms/lobby?key=letmein'), await dial(site, '/echo')];
    const heard = once(bob, 'message');
    expect(await exchange(ada, 'hello')).toBe('lobby: hello');
    expect(String((await heard)[0])).toBe('lobby: hello');
    for (const socket of [ada, bob]) socket.close();
  });

  test('socket-io', async () => {
    const site = await start('socket-io');
    expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
    const socket = io(`http://${site.authority}`, { transports: ['websocket'], reconnection: false, forceNew: true });
    onTestFinished(() => void socket.disconnect());
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    expect(await socket.emitWithAck('echo', 'across')).toBe('across');
  });

  describe('in a folder of its own,', () => {
    const before = process.cwd();
    let own: string;

    beforeEach(async () => {
      own = await mkdtemp(join(tmpdir(), 'drawbridge-express-'));
      process.chdir(own);
    });

    afterEach(async () => {
      process.chdir(before);
      await rm(own, { recursive: true });
    });

    test('tls', async () => {
      const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' });
      await Promise.all([writeFile('key.pem', key), writeFile('cert.pem', cert)]);
      expect(await exchange(await dial(await start('tls'), '/echo'), 'across')).toBe('across');
    });

    test('vite', async () => {
      await writeFile('vite.config.mjs', "export default { logLevel: 'silent', optimizeDeps: { noDiscovery: true } };");
      await writeFile('index.html', '<!doctype html><title>a page</title>');
      const site = await start('vite');
      const { vite } = site.exports as typeof import('./recipes/vite.js');
      onTestFinished(() => vite.close());
      expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
      expect((await fetchFrom(site, '/')).text).toContain('a page');
      const origin = `http://${site.authority}`;
      const path = `/?token=${vite.config.webSocketToken}`;
      const browser = await dial(site, path, { protocols: ['vite-hmr'], origin });
      browser.close();
    });
  });
});
