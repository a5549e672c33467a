import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { Server } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { anyPort, openSockets, type Site } from '../behaviour/hosts/host.js';
import { knock, textFrame } from '../behaviour/raw.js';

const repository = join(import.meta.dirname, '../..');
const folder = join(import.meta.dirname, 'recipes');

describe('the examples of', () => {
  test.each(['fastify.md', 'moving-from-fastify-websocket.md'])(
    'docs/%s are the programs that are run here',
    async (page) => {
      const markdown = await readFile(join(repository, 'docs', page), 'utf8');
      const examples = [...markdown.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string);
      const names = await readdir(folder);
      const recipes = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      expect(examples.length).toBeGreaterThan(0);
      expect(examples.filter((example) => !recipes.some((recipe) => recipe.includes(example)))).toEqual([]);
    },
  );
});

const made: FastifyInstance[] = [];
subscribe('fastify.initialization', (message) => void made.push((message as { fastify: FastifyInstance }).fastify));

/** Runs a recipe as it stands, but for the port and the lines of its log, until the test ends. */
async function start(recipe: string): Promise<{ site: Site; fastify: FastifyInstance }> {
  const { listen } = Server.prototype;
  onTestFinished(() => void Object.assign(Server.prototype, { listen }));
  Server.prototype.listen = function (this: Server) {
    return listen.call(this, anyPort);
  } as typeof listen;
  const muted = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  onTestFinished(() => muted.mockRestore());
  await import(`./recipes/${recipe}.ts`);
  const fastify = made.at(-1) as FastifyInstance;
  const { server } = fastify;
  const sockets = openSockets(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await fastify.close();
  });
  const { port } = server.address() as { port: number };
  return { fastify, site: { authority: `127.0.0.1:${port}`, port, secure: false } as Site };
}

/** The refusal's status and body, or the first message. */
async function hear(site: Site, path: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  const wire = await knock(site, { path, headers });
  const response = await wire.response();
  return [response.status, response.status === 101 ? await wire.text() : response.body.toString()];
}

describe('the recipe', () => {
  test('start', async () => {
    const before = process.listeners('SIGTERM');
    const { site } = await start('start');
    const [onTerminate] = process.listeners('SIGTERM').filter((listener) => !before.includes(listener));
    if (!onTerminate) throw new Error('Nobody waits for SIGTERM.');
    process.off('SIGTERM', onTerminate);
    const socket = await dial(site, '/rooms/lobby', { protocols: ['v1.chat'] });
    expect(socket.protocol).toBe('v1.chat');
    expect(await exchange(socket, 'good evening')).toBe('lobby: good evening');
    expect(await hear(site, '/rooms/cellar')).toEqual([404, 'No such room.']);
    const closed = once(socket, 'close');
    onTerminate('SIGTERM');
    expect((await closed)[0]).toBe(1001);
  });

  test('routes', async () => {
    const { site, fastify } = await start('routes');
    expect(await exchange(await dial(site, '/echo'), 'across')).toBe('across');
    expect(await hear(site, '/private')).toEqual([401, 'Log in first.']);
    expect(await hear(site, '/private', { Authorization: 'Bearer a-token' })).toEqual([101, 'welcome, Ada']);
    expect((await fastify.inject('/clock')).body).toMatch(/^20\d\d-/);
    expect(await hear(site, '/clock')).toEqual([101, expect.stringMatching(/^20\d\d-/)]);
  });

  test('hooks', async () => {
    const { site } = await start('hooks');
    expect(await hear(site, '/lounge')).toEqual([403, '{"error":"MEMBERS_ONLY","message":"Forbidden"}']);
    expect(await hear(site, '/lounge', { 'X-Member': 'Ada' })).toEqual([101, 'hello, Ada']);
    const evil = { 'X-Member': 'Ada', Origin: 'https://evil.example' };
    expect(await hear(site, '/lounge', evil)).toEqual([403, expect.stringContaining('ORIGIN_REFUSED')]);
    const accepted = await (await knock(site, { path: '/lounge', headers: { 'X-Member': 'Ada' } })).response();
    expect(accepted.header('set-cookie')).toBe('member=yes; HttpOnly; SameSite=Strict');
  });

  test('schema', async () => {
    const { site } = await start('schema');
    expect(await hear(site, '/feed/oil?depth=7')).toEqual([101, 'oil, 7 deep']);
    expect(await hear(site, '/feed/oil')).toEqual([101, 'oil, 5 deep']);
    expect(await hear(site, '/feed/x')).toEqual([400, expect.stringContaining('FST_ERR_VALIDATION')]);
    const socket = await dial(site, '/orders');
    expect(await exchange(socket, '{"item":"tea","count":2}')).toBe('{"ordered":"2 × tea"}');
    expect(await exchange(socket, '{"item":"tea","count":-1}')).toMatch(/^{"error":"The message is invalid: count: /);
  });

  test('plugins', async () => {
    const { site, fastify } = await start('plugins');
    const wire = await knock(site, { path: '/count' });
    const cookie = (await wire.response()).header('set-cookie')?.split(';', 1)[0] as string;
    expect(await wire.text()).toBe('visit 1');
    const again = await knock(site, { path: '/count', headers: { cookie } });
    await again.response();
    expect(await again.text()).toBe('visit 2');
    again.send(textFrame('goodbye'));
    expect(await again.text()).toBe('saved');
    expect((await fastify.inject({ url: '/last-word', headers: { cookie } })).body).toBe('goodbye');
    expect((await hear(site, '/account'))[0]).toBe(400);
    const token = fastify.jwt.sign({ name: 'Ada' });
    expect(await hear(site, '/account', { Authorization: `Bearer ${token}` })).toEqual([
      101,
      expect.stringContaining('Ada'),
    ]);
    const subprotocols = `v1.bank, bearer.${Buffer.from(token).toString('base64url')}`;
    expect((await hear(site, '/account', { 'Sec-WebSocket-Protocol': subprotocols }))[0]).toBe(101);
  });

  test('closing', async () => {
    const { site, fastify } = await start('closing');
    const socket = await dial(site, '/feed');
    const messages: string[] = [];
    socket.on('message', (data) => messages.push(String(data)));
    const closed = once(socket, 'close');
    await fastify.close();
    expect((await closed)[0]).toBe(1012);
    expect(messages.at(-1)).toBe('back in a minute');
  });

  test('from-fastify-websocket', async () => {
    const { site } = await start('from-fastify-websocket');
    expect(await hear(site, '/echo')).toEqual([401, 'not authenticated']);
    const headers = { 'api-key': 'some-random-key' };
    const [one, other] = await Promise.all([dial(site, '/echo', { headers }), dial(site, '/echo', { headers })]);
    const heard = once(other, 'message');
    expect(await exchange(one, 'hello')).toBe('someone says hello');
    expect(String((await heard)[0])).toBe('someone says hello');
  });
});
