import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, dial } from '@drawbridge/core';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launch, noBrowser, Tab } from './browser.js';
import { Program } from './program.js';

const END = 'end';
const dist = 'examples/tcp-gateway/dist';

const gateway = (targets: string[], port = '0') =>
  Program.run(`${dist}/server.js`, ['--port', port, ...targets.flatMap((target) => ['--allow', target])]);

async function ask(target: string): Promise<Connection> {
  const url = await gateway([target]).url();
  return dial(`${url.replace('http', 'ws')}/tcp/${target}`, { maxBufferedAmount: 1e9 });
}

/** All bytes from now on until the target has ended. */
async function bytesUntilEnd(socket: Connection): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const message of socket) {
    if (message === END) break;
    pieces.push(message as Buffer);
  }
  return Buffer.concat(pieces);
}

describe('the tcp-gateway example', () => {
  const targets: Server[] = [];
  const visitors = new Set<Socket>();

  /** A TCP server of this behaviour. */
  async function target(onVisit: (visitor: Socket) => void): Promise<string> {
    const server = createServer({ allowHalfOpen: true }, (visitor) => {
      visitors.add(visitor);
      visitor.on('error', () => {});
      onVisit(visitor);
    }).listen(0, '127.0.0.1');
    targets.push(server);
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  afterEach(async () => {
    await Program.endAll();
    for (const visitor of visitors) visitor.destroy();
    for (const server of targets.splice(0)) server.close();
    visitors.clear();
  });

  it('carries bytes both ways, as they are', async () => {
    const socket = await ask(await target((visitor) => visitor.pipe(visitor)));
    const bytes = randomBytes(3_000_000);
    const back = bytesUntilEnd(socket);
    for (let start = 0; start < bytes.length; start += 50_000) {
      socket.send(bytes.subarray(start, start + 50_000));
      await socket.drained();
    }
    socket.send(END);
    expect((await back).equals(bytes)).toBe(true);
    expect(await socket.closed).toMatchObject({ code: 1000, reason: 'Both sides have ended.' });
  });

  it('lets the page go on hearing when it has said everything', async () => {
    const socket = await ask(
      await target((visitor) => {
        visitor.on('data', (heard) => visitor.write(`You said ${heard}`));
        visitor.on('end', () => visitor.end(', and no more.'));
      }),
    );
    socket.send(Buffer.from('hello'));
    socket.send(END);
    expect(String(await bytesUntilEnd(socket))).toBe('You said hello, and no more.');
  });

  it('lets the page go on speaking when the target has said everything', async () => {
    let heard: Promise<Buffer> | undefined;
    const socket = await ask(
      await target((visitor) => {
        heard = buffer(visitor);
        visitor.end('bye');
      }),
    );
    expect(String(await bytesUntilEnd(socket))).toBe('bye');
    await sleep(50);
    socket.send(Buffer.from('still here'));
    socket.send(END);
    expect((await socket.closed).code).toBe(1000);
    expect(String(await heard)).toBe('still here');
  });

  it('takes from a page no faster than its target does, and loses nothing', async () => {
    let visitor: Socket | undefined;
    const socket = await ask(
      await target((one) => {
        visitor = one.pause();
      }),
    );
    const piece = Buffer.alloc(64 * 1024, 'x');
    const total = 1_000; // 62 MiB
    for (let sent = 0; sent < total; sent++) socket.send(piece);
    socket.send(END);
    await sleep(500); // in which all of it could be in a gateway that does not mind
    expect(socket.bufferedAmount).toBeGreaterThan(30 * 1024 * 1024);
    let bytes = 0;
    visitor?.on('data', (chunk) => {
      bytes += chunk.length;
    });
    visitor?.once('end', () => visitor?.end());
    visitor?.resume();
    expect((await socket.closed).code).toBe(1000);
    expect(bytes).toBe(total * piece.length);
  });

  it('takes from a target no faster than its page does, and loses nothing', async () => {
    const piece = Buffer.alloc(64 * 1024, 'x');
    const total = 1_000;
    let visitor: Socket | undefined;
    const socket = await ask(
      await target((one) => {
        visitor = one;
        for (let sent = 0; sent < total; sent++) one.write(piece);
        one.end();
      }),
    );
    socket.pause();
    await sleep(500);
    expect(visitor?.writableLength).toBeGreaterThan(30 * 1024 * 1024);
    socket.resume();
    expect((await bytesUntilEnd(socket)).length).toBe(total * piece.length);
  });

  it('brings all that a page said before it left', async () => {
    let heard: Promise<Buffer> | undefined;
    const socket = await ask(
      await target((visitor) => {
        heard = buffer(visitor);
      }),
    );
    socket.send(Buffer.alloc(500_000, 'x'));
    socket.close(1000);
    await socket.closed;
    expect((await heard)?.length).toBe(500_000);
  });

  it.each(['close', 'terminate'] as const)(
    'leaves its target, whatever that says, when the page does %s',
    async (how) => {
      const visits: Socket[] = [];
      const socket = await ask(await target((visitor) => visits.push(visitor.resume())));
      await expect.poll(() => visits.length).toBe(1);
      const left = new Promise((resolve) => visits[0]?.once('close', resolve));
      visits[0]?.on('end', () => {}); // and does not end, though it hears that nobody speaks any more
      const writing = setInterval(() => visits[0]?.write('x'), 20);
      socket[how]();
      await left;
      clearInterval(writing);
    },
  );

  it('says that the target broke off', async () => {
    const socket = await ask(await target((visitor) => visitor.once('data', () => visitor.resetAndDestroy())));
    socket.send(Buffer.from('hello'));
    expect(await socket.closed).toMatchObject({ code: 1014, reason: 'The target broke off.' });
  });

  it('lets a page in when the target has answered, and dials nobody who is not on the list', async () => {
    let visits = 0;
    const open = await target(() => visits++);
    const other = await target(() => visits++);
    const silent = 'localhost:1';
    const url = (await gateway([open, silent]).url()).replace('http', 'ws');
    const end = async (path: string) => {
      const { code, reason } = await (await dial(`${url}/tcp/${path}`)).closed;
      return `${code} ${reason}`;
    };
    expect(await end(other)).toBe(`4403 ${other} is not on the list of this gateway.`);
    expect(await end(silent)).toBe('4502 localhost:1 does not answer.');
    expect(visits).toBe(0);
  });

  it('takes messages that are bytes', async () => {
    const socket = await ask(await target((visitor) => visitor.pipe(visitor)));
    socket.send('a text');
    expect(await socket.closed).toMatchObject({ code: 1003, reason: 'Bytes come as binary messages.' });
  });

  it('says which address is none', async () => {
    expect(await gateway(['localhost']).ended()).toEqual({
      code: 1,
      stdout: '',
      stderr: "'localhost' is no address of a TCP server; write host and port, such as localhost:6379.\n",
    });
  });

  it('ends on Ctrl-C, whoever is connected to whatever', async () => {
    const program = gateway([await target(() => {})]);
    const url = await program.url();
    const [allowed] = (await (await fetch(`${url}/targets`)).json()) as string[];
    const socket = await dial(`${url.replace('http', 'ws')}/tcp/${allowed}`);
    program.signal('SIGINT');
    expect((await socket.closed).code).toBe(1001);
    expect(await program.ended()).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('the TCP echo server and its client', () => {
  afterEach(() => Program.endAll());

  it('tells its clients apart, and notices who leaves', async () => {
    const server = Program.run(`${dist}/echo-server.js`, ['--port', '0']);
    const address = /127\.0\.0\.1:\d+/.exec(await server.line())?.[0] as string;
    const [host, port] = address.split(':');

    const clients = await Promise.all(
      Array.from({ length: 20 }, async (_, number) => {
        const client = connect(Number(port), host);
        client.write(`I am ${number}`);
        expect(String((await once(client, 'data'))[0])).toBe(`I am ${number}`);
        return client;
      }),
    );
    clients[0]?.resetAndDestroy();
    for (const client of clients.slice(1)) client.end();
    await Promise.all(clients.slice(1).map((client) => once(client, 'end')));

    const client = Program.run(`${dist}/echo-client.js`, [address], {}, 'one\ntwo\n');
    expect(await client.ended()).toEqual({ code: 0, stdout: 'one\ntwo\n', stderr: '' });

    const { stdout, code } = await server.signal('SIGINT').ended();
    const lines = stdout.split('\n').slice(1, -1);
    expect(code).toBe(0);
    expect(lines.filter((line) => line.includes('came')).map((line) => /here: (\d+)/.exec(line)?.[1])).toEqual([
      ...Array.from({ length: 20 }, (_, index) => String(index + 1)),
      '1',
    ]);
    expect(lines.filter((line) => / left after [67] bytes; here: \d+$/.test(line)).length).toBe(19);
    expect(lines.filter((line) => / broke off after 6 bytes; here: 19$/.test(line)).length).toBe(1);
    expect(lines.at(-1)).toMatch(/^client 21 \(127\.0\.0\.1:\d+\) left after 8 bytes; here: 0$/);
  });

  it('the client says that nobody listens', async () => {
    expect(await Program.run(`${dist}/echo-client.js`, ['127.0.0.1:1']).ended()).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Nothing listens at 127.0.0.1:1; is the server running?\n',
    });
  });
});

const noRedis = !existsSync('/usr/bin/redis-server') && !process.env.CI;
if (noRedis) console.warn('There is no redis-server, so the page of tcp-gateway is not tested with it.');

describe.skipIf(noBrowser || noRedis)('the page of the tcp-gateway example in Chromium, with Redis', () => {
  let browser: Browser;
  let redis: ChildProcess;
  let folder: string;
  let address: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'redis-'));
    const port = await freePort();
    address = `127.0.0.1:${port}`;
    [browser, redis] = await Promise.all([launch(), startRedis(port, folder)]);
  });
  afterEach(() => Program.endAll());
  afterAll(async () => {
    redis?.kill('SIGKILL');
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  const screen = ({ page }: Tab) => page.locator('#screen > :not(b)');

  async function type({ page }: Tab, ...lines: string[]): Promise<void> {
    for (const line of lines) {
      await page.getByLabel('What to say to the server').fill(line);
      await page.keyboard.press('Enter');
    }
  }

  it('is a client of Redis', async () => {
    const program = gateway([address]);
    const url = await program.url();
    const tab = await Tab.open(browser, url, { viewport: { width: 360, height: 740 } });
    await tab.status(`Bytes go to ${address}`);
    await type(
      tab,
      'SET greeting "grüß Gott, \\"Redis\\""',
      'GET greeting',
      'APPEND long x',
      'SETRANGE long 100000 end',
      'STRLEN long',
      'GET nothing',
      'RPUSH list one "two words"',
      'LRANGE list 0 -1',
      'LRANGE none 0 -1',
      'OPEN sesame',
    );
    await screen(tab).filter({ hasText: 'sesame' }).waitFor();
    expect(await screen(tab).allTextContents()).toEqual([
      'OK\n',
      '"grüß Gott, \\"Redis\\""\n',
      '(integer) 1\n',
      '(integer) 100003\n',
      '(integer) 100003\n',
      '(nil)\n',
      '(integer) 2\n',
      '1) "one"\n2) "two words"\n',
      '(empty array)\n',
      "(error) ERR unknown command 'OPEN', with args beginning with: 'sesame' \n",
    ]);

    // What another client publishes comes without being asked for.
    await type(tab, 'SUBSCRIBE moat');
    await screen(tab).filter({ hasText: '"subscribe"' }).waitFor();
    const other = await Tab.open(browser, url);
    await other.status(`Bytes go to ${address}`);
    await type(other, 'GET long', 'PUBLISH moat "the bridge is down"');
    await screen(tab).filter({ hasText: 'the bridge is down' }).waitFor();
    expect(await screen(other).first().textContent()).toHaveLength(100_003 + 2 + 1 + 5 * (100_003 - 4));
    expect([await tab.overhang(), ...tab.complaints, ...other.complaints]).toEqual([0]);

    await type(other, 'QUIT');
    await screen(other).filter({ hasText: 'The server says no more.' }).waitFor();
    await other.press('Say no more');
    expect(await other.status('Closed')).toBe('Closed Both sides have ended.');

    program.signal('SIGKILL');
    await tab.status('This page comes back by itself.');
    await program.ended();
    await gateway([address], new URL(url).port).url();
    await tab.status(`Bytes go to ${address}`);
    await type(tab, 'GET greeting');
    await screen(tab).filter({ hasText: 'grüß' }).nth(1).waitFor();
  });

  it('speaks lines of text to the echo server, and says that one does not answer', async () => {
    const server = Program.run(`${dist}/echo-server.js`, ['--port', '0']);
    const echo = /127\.0\.0\.1:\d+/.exec(await server.line())?.[0] as string;
    const tab = await Tab.open(browser, await gateway(['127.0.0.1:1', echo]).url());
    await tab.status('127.0.0.1:1 does not answer.');
    await tab.page.getByLabel('TCP server').selectOption(echo);
    await tab.page.getByLabel('Speak').selectOption('lines of text');
    await tab.press('Connect');
    await tab.status(`Bytes go to ${echo}`);
    await type(tab, 'grüß Gott');
    await screen(tab).filter({ hasText: 'grüß Gott' }).waitFor();
    await tab.press('Say no more');
    expect(await tab.status('Closed')).toBe('Closed Both sides have ended.');
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function startRedis(port: number, folder: string): Promise<ChildProcess> {
  const options = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const redis = spawn('redis-server', ['--port', String(port), ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: redis.stdout })) {
    if (line.includes('Ready to accept connections')) break;
  }
  redis.stdout.resume();
  return redis;
}
