import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Connection, PreparedMessage, Upgrader } from '@drawbridge/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

let server: Server;
let upgrader: Upgrader;
let url: string;
const accepted: Connection[] = [];
const clients: WebSocket[] = [];

beforeEach(async () => {
  accepted.length = 0;
  clients.length = 0;
  upgrader = new Upgrader({ maxBufferedAmount: 256 * 1024 * 1024 });
  const keep = (socket: Connection): void => void accepted.push(socket);
  upgrader.route('/plain', keep);
  upgrader.route('/context', { perMessageDeflate: { threshold: 64 } }, keep);
  upgrader.route('/contextless', { perMessageDeflate: { threshold: 64, serverNoContextTakeover: true } }, keep);
  server = createServer();
  upgrader.attach(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  await upgrader.close({ timeout: 100 });
  server.close();
});

/** A client that writes down all that comes, in its order, with ws's own receiver as the strict reader. */
async function connect(path: string): Promise<{ socket: Connection; heard: string[]; ended: Promise<unknown> }> {
  const client = new WebSocket(url + path);
  clients.push(client);
  const heard: string[] = [];
  client.on('message', (data: Buffer, isBinary) => heard.push(shown(data.toString('latin1'), isBinary)));
  client.on('ping', (data) => heard.push(`ping ${data}`));
  client.on('error', (error) => heard.push(`error ${error.message}`));
  const ended = once(client, 'close').then(([code]) => heard.push(`close ${code}`));
  await once(client, 'open');
  return { socket: accepted[accepted.length - 1] as Connection, heard, ended };
}

/** Short enough to be read in a failure, and different for whatever is different. */
function shown(data: string, isBinary = false): string {
  const kind = isBinary ? 'binary' : 'text';
  if (data.length < 20) return `${kind} ${data}`;
  return `${kind} ${data.slice(0, 6)}… ${data.length} ${createHash('sha1').update(data).digest('hex').slice(0, 8)}`;
}

/** A small generator of numbers, so that a failure can be played again from its seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

const sizes = [0, 1, 63, 64, 125, 126, 500, 4095, 4096, 5000, 65_535, 65_536, 100_000];

describe.each(['/plain', '/context', '/contextless'])('what is sent on %s', (path) => {
  it.each([1, 2, 3, 4])(
    'arrives whole and in order, whatever it is and whenever it was sent (seed %i)',
    async (seed) => {
      const pick = random(seed);
      const all = await Promise.all([connect(path), connect(path), connect(path)]);
      const expected: string[][] = all.map(() => []);
      let number = 0;
      const text = (): string => `${number++} `.padEnd(sizes[pick(sizes.length)] as number, 'abcdefgh');
      const steps: (() => void)[] = [
        () => {
          const [who, data] = [pick(3), text()];
          all[who]?.socket.send(data);
          expected[who]?.push(shown(data));
        },
        () => {
          const [who, data] = [pick(3), Buffer.from(text())];
          all[who]?.socket.send(data);
          expected[who]?.push(shown(String(data), true));
        },
        () => {
          const who = pick(3);
          all[who]?.socket.ping(String(number));
          expected[who]?.push(`ping ${number++}`);
        },
        () => {
          const [who, first, last] = [pick(3), text(), text()];
          const socket = all[who]?.socket as Connection;
          socket.send(first, { fin: false });
          socket.ping('between');
          socket.send(new PreparedMessage('prepared'));
          upgrader.broadcast([socket], 'broadcast');
          socket.send(last, { fin: true });
          expected[who]?.push('ping between', shown(first + last), 'text prepared', 'text broadcast');
        },
        () => {
          const [who, data] = [pick(3), text()];
          all[who]?.socket.send(new PreparedMessage(data));
          expected[who]?.push(shown(data));
        },
        () => {
          const data = text();
          upgrader.broadcast(upgrader.connections, data);
          for (const one of expected) one.push(shown(data));
        },
        () => {
          const [except, data] = [pick(3), text()];
          upgrader.broadcast(upgrader.connections, data, { except: all[except]?.socket, binary: true });
          expected.forEach((one, i) => {
            if (i !== except) one.push(shown(String(data), true));
          });
        },
      ];
      for (let tick = 0; tick < 40; tick++) {
        for (let count = pick(12); count >= 0; count--) steps[pick(steps.length)]?.();
        const pauses = [() => Promise.resolve(), () => new Promise(process.nextTick), () => new Promise(setImmediate)];
        await pauses[pick(3)]?.();
      }
      for (const { socket } of all) socket.close(1000);
      await Promise.all(all.map(({ ended }) => ended));
      all.forEach(({ heard }, i) => {
        const pings = (list: string[] | undefined): string[] => list?.filter((one) => one.startsWith('ping')) ?? [];
        const data = (list: string[] | undefined): string[] => list?.filter((one) => !one.startsWith('ping')) ?? [];
        // A ping may pass between the fragments of a message, and so arrives before the message is whole.
        expect(pings(heard)).toEqual(pings(expected[i]));
        expect(data(heard)).toEqual([...data(expected[i]), 'close 1000']);
      });
    },
  );
});

describe('the writes of a tick', () => {
  it('are one', async () => {
    const { socket } = await connect('/plain');
    const writes = await countWrites(socket, () => {
      for (let i = 0; i < 50; i++) socket.send(`message ${i}`);
      socket.ping();
    });
    expect(writes).toEqual([50 * 2 + 10 * 'message 0'.length + 40 * 'message 10'.length + 2]);
  });

  it('of a broadcast to the same set share one Buffer', async () => {
    const [a, b] = [await connect('/plain'), await connect('/plain')];
    const written = [a, b].map(({ socket }) => spyOnWrites(socket));
    for (let i = 0; i < 20; i++) upgrader.broadcast(upgrader.connections, `news ${i}`);
    await new Promise(setImmediate);
    expect(written.map((buffers) => buffers.length)).toEqual([1, 1]);
    expect(written[0]?.[0]).toBe(written[1]?.[0]);
  });

  it('do not copy a large message, and leave at once past 64 KiB', async () => {
    const { socket } = await connect('/plain');
    const written = spyOnWrites(socket);
    const large = Buffer.alloc(70_000);
    socket.send(large);
    expect(written).toContain(large);
  });

  it('hold copies of small messages, so that a Buffer can be used again', async () => {
    const { socket, heard, ended } = await connect('/plain');
    const scratch = Buffer.alloc(1);
    for (let i = 0; i < 3; i++) {
      scratch[0] = 65 + i;
      socket.send(scratch);
    }
    socket.close();
    await ended;
    expect(heard).toEqual(['binary A', 'binary B', 'binary C', 'close 1005']);
  });

  it('count in bufferedAmount while they wait', async () => {
    const { socket } = await connect('/plain');
    socket.send('12345');
    expect(socket.bufferedAmount).toBe(7);
    upgrader.broadcast([socket], '12345');
    upgrader.broadcast([socket], '12345');
    expect(socket.bufferedAmount).toBe(21);
    socket.send('1');
    expect(socket.bufferedAmount).toBe(24);
    await new Promise(setImmediate);
    expect(socket.bufferedAmount).toBe(0);
  });

  it('call each callback once, in order', async () => {
    const { socket } = await connect('/plain');
    const called: unknown[] = [];
    await new Promise<void>((resolve) => {
      socket.send('a', (error) => called.push(['a', error ?? 'sent']));
      socket.ping('b', undefined, (error) => called.push(['b', error ?? 'sent']));
      socket.send(new PreparedMessage('c'), (error) => {
        called.push(['c', error ?? 'sent']);
        resolve();
      });
    });
    expect(called).toEqual([
      ['a', 'sent'],
      ['b', 'sent'],
      ['c', 'sent'],
    ]);
  });

  it('are sent before terminate() cuts the connection', async () => {
    const { socket, heard, ended } = await connect('/plain');
    socket.send('last words');
    socket.terminate();
    await ended;
    expect(heard).toEqual(['text last words', 'close 1006']);
  });

  it('tell each callback when the socket has gone', async () => {
    const { socket } = await connect('/plain');
    const errors: unknown[] = [];
    const transport = (socket as unknown as { _socket: import('node:net').Socket })._socket;
    await new Promise<void>((resolve) => {
      socket.send('a', (error) => errors.push(error));
      socket.send('b', (error) => {
        errors.push(error);
        resolve();
      });
      transport.destroy();
    });
    expect(errors).toEqual([expect.any(Error), expect.any(Error)]);
  });
});

describe('a ping', () => {
  it('is answered with its data, in its place among the messages, and told to the listeners', async () => {
    const { socket } = await connect('/plain');
    const client = clients[clients.length - 1] as WebSocket;
    const heard: string[] = [];
    client.on('pong', (data) => heard.push(`pong ${data}`));
    client.on('message', (data) => heard.push(`message ${data}`));
    const told: string[] = [];
    socket.on('ping', (data: Buffer) => told.push(String(data)));
    socket.on('message', (data) => socket.send(data));
    for (const name of ['a', 'b']) {
      client.ping(name);
      client.send(name);
    }
    await expect.poll(() => heard).toEqual(['pong a', 'message a', 'pong b', 'message b']);
    expect(told).toEqual(['a', 'b']);
  });

  it('of a client that does not read is not answered without end', async () => {
    const { socket } = await connect('/plain');
    const client = clients[clients.length - 1] as WebSocket;
    client.pause();
    let pings = 0;
    socket.on('ping', () => pings++);
    const data = Buffer.alloc(125);
    for (let i = 0; i < 100_000; i++) client.ping(data);
    await expect.poll(() => pings, { timeout: 15_000 }).toBe(100_000);
    expect(socket.bufferedAmount).toBeLessThan(512 * 1024);
  });
});

describe('a broadcast', () => {
  it('reaches who is there, and not who joins later in the same tick', async () => {
    const [a, b] = [await connect('/plain'), await connect('/plain')];
    const room = new Set([a.socket]);
    upgrader.broadcast(room, 'one');
    room.add(b.socket);
    upgrader.broadcast(room, 'two');
    room.delete(a.socket);
    upgrader.broadcast(room, 'three');
    for (const { socket } of [a, b]) socket.close();
    await Promise.all([a.ended, b.ended]);
    expect(a.heard).toEqual(['text one', 'text two', 'close 1005']);
    expect(b.heard).toEqual(['text two', 'text three', 'close 1005']);
  });

  it('reaches who closes or is cut off behind it in the same tick', async () => {
    const [a, b] = [await connect('/plain'), await connect('/plain')];
    upgrader.broadcast(upgrader.connections, 'one');
    a.socket.close(4000);
    b.socket.terminate();
    upgrader.broadcast(upgrader.connections, 'two');
    await Promise.all([a.ended, b.ended]);
    expect(a.heard).toEqual(['text one', 'close 4000']);
    expect(b.heard).toEqual(['text one', 'close 1006']);
  });

  it('is not overtaken by a direct send of the same tick', async () => {
    const { socket, heard, ended } = await connect('/plain');
    upgrader.broadcast(upgrader.connections, '1');
    socket.send('2');
    upgrader.broadcast(upgrader.connections, '3');
    socket.send(new Blob(['4']));
    upgrader.broadcast(upgrader.connections, '5');
    socket.close();
    await ended;
    expect(heard.slice(0, 3)).toEqual(['text 1', 'text 2', 'text 3']);
    expect(heard.slice(3)).toEqual(['binary 4', 'text 5', 'close 1005']);
  });

  it('goes to whom a predicate chooses, and says how many they were', async () => {
    const [a, b] = [await connect('/plain'), await connect('/contextless')];
    expect(upgrader.broadcast((socket) => socket.path === '/plain', 'news')).toBe(1);
    for (const { socket } of [a, b]) socket.close();
    await Promise.all([a.ended, b.ended]);
    expect([a.heard, b.heard]).toEqual([['text news', 'close 1005'], ['close 1005']]);
  });
});

function transportOf(socket: Connection): import('node:net').Socket {
  return (socket as unknown as { _socket: import('node:net').Socket })._socket;
}

/** Each Buffer that reaches the socket. */
function spyOnWrites(socket: Connection): Buffer[] {
  const transport = transportOf(socket);
  const written: Buffer[] = [];
  const write = transport.write;
  transport.write = function (this: typeof transport, chunk: Buffer, ...rest: never[]) {
    written.push(chunk);
    return write.call(this, chunk, ...rest);
  } as typeof write;
  return written;
}

async function countWrites(socket: Connection, act: () => void): Promise<number[]> {
  const written = spyOnWrites(socket);
  act();
  await new Promise(setImmediate);
  return written.map(({ length }) => length);
}
