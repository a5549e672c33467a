import { type Connection, PreparedMessage } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { hosts } from './hosts/index.js';
import { encodings, endOfTick, gather, type Listener, watchWrites } from './outgoing.js';
import { shown } from './strict-reader.js';

const KiB = 1024;
const news = 'news '.repeat(50);

function told(listeners: readonly Listener[]): Promise<string[][]> {
  return Promise.all(listeners.map((one) => one.part()));
}

describe.each(hosts)('$name: a broadcast', (host) => {
  test('reaches all of them, however they speak, and says how many they were', async () => {
    const { site, listeners } = await gather(host, ['plain', 'context', 'contextless', 'plain']);
    const [, , except] = listeners;
    expect(site.upgrader.broadcast(site.upgrader.connections, news)).toBe(4);
    expect(site.upgrader.broadcast(() => true, new PreparedMessage(news))).toBe(4);
    expect(site.upgrader.broadcast(site.upgrader.connections, Buffer.from('bytes'))).toBe(4);
    expect(site.upgrader.broadcast(site.upgrader.connections, 'as binary', { binary: true })).toBe(4);
    expect(site.upgrader.broadcast(site.upgrader.connections, 'not all', { except: except.server })).toBe(3);
    expect(site.upgrader.broadcast((socket) => socket === except.server, 'only one')).toBe(1);
    expect(site.upgrader.broadcast([], 'nobody')).toBe(0);
    expect(listeners.map(({ server }) => server.messagesOut)).toEqual([5, 5, 5, 5]);
    const all = [shown(news), shown(news), 'binary bytes', 'binary as binary'];
    const others = [...all, 'text not all', 'close 1000'];
    expect(await told(listeners)).toEqual([others, others, [...all, 'text only one', 'close 1000'], others]);
  });

  test('reaches one that is named twice once', async () => {
    const { site, listeners } = await gather(host, ['plain', 'context', 'contextless', 'plain']);
    const connections = listeners.map(({ server }) => server);
    expect(site.upgrader.broadcast([...connections, ...connections], news)).toBe(4);
    const once = [shown(news), 'close 1000'];
    expect(await told(listeners)).toEqual([once, once, once, once]);
  });

  test.each(encodings)(
    'sends nothing behind the close frame of one that was closed by who chose (%s)',
    async (encoding) => {
      const { site, listeners } = await gather(host, [encoding, encoding]);
      const [first, second] = listeners;
      site.upgrader.broadcast(() => true, news);
      let asked = 0;
      site.upgrader.broadcast(() => {
        if (asked++ === 1) first.server.close(4000);
        return true;
      }, news);
      site.upgrader.broadcast(
        (function* () {
          yield second.server;
          second.server.close(4001);
        })(),
        news,
      );
      expect(await first.part()).toEqual([shown(news), 'close 4000']);
      expect(await second.part()).toEqual([shown(news), shown(news), 'close 4001']);
    },
  );

  test('leaves at once past 64 KiB, though the set changes with each', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain']);
    const [a, b] = listeners;
    const written = watchWrites(a);
    const message = 'x'.repeat(10_000);
    let most = 0;
    for (let i = 0; i < 20; i++) {
      site.upgrader.broadcast([a.server, b.server], message);
      site.upgrader.broadcast([a.server], message);
      most = Math.max(most, a.server.bufferedAmount - a.transport.writableLength);
    }
    expect(written.length).toBeGreaterThan(0);
    expect(most).toBeLessThan(128 * KiB);
    const [heard] = await told(listeners);
    expect(heard).toEqual([...Array(40).fill(shown(message)), 'close 1000']);
  });

  test('reaches who is there, and not who joins later in the same tick', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain', 'contextless', 'context']);
    const [first, ...later] = listeners;
    const room = new Set<Connection<unknown>>([first.server]);
    site.upgrader.broadcast(room, 'one');
    for (const { server } of later) room.add(server);
    site.upgrader.broadcast(room, 'two');
    room.delete(first.server);
    site.upgrader.broadcast(room, 'three');
    const left = ['text one', 'text two', 'close 1000'];
    const joined = ['text two', 'text three', 'close 1000'];
    expect(await told(listeners)).toEqual([left, joined, joined, joined]);
  });

  test('goes to no other than those it is for, where a set has changed but is as large as before', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain', 'plain']);
    const [a, b, c] = listeners;
    site.upgrader.broadcast([a.server, b.server], 'to a and b');
    site.upgrader.broadcast([a.server, c.server], 'to a and c');
    site.upgrader.broadcast([c.server, b.server], 'to b and c');
    site.upgrader.broadcast([b.server, c.server], 'once more');
    expect(await told(listeners)).toEqual([
      ['text to a and b', 'text to a and c', 'close 1000'],
      ['text to a and b', 'text to b and c', 'text once more', 'close 1000'],
      ['text to a and c', 'text to b and c', 'text once more', 'close 1000'],
    ]);
  });

  test('reaches who closes or is cut off behind it in the same tick', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain', 'plain']);
    const [stays, closes, isCutOff] = listeners;
    site.upgrader.broadcast(site.upgrader.connections, 'one');
    closes.server.close(4000);
    site.upgrader.broadcast(site.upgrader.connections, 'two');
    isCutOff.server.terminate();
    site.upgrader.broadcast(site.upgrader.connections, 'three');
    expect(await isCutOff.hear()).toEqual(['text one', 'text two']);
    expect(await closes.part()).toEqual(['text one', 'close 4000']);
    expect(await stays.part()).toEqual(['text one', 'text two', 'text three', 'close 1000']);
  });

  test.each(encodings)('is not overtaken by what is sent directly in the same tick (%s)', async (encoding) => {
    const { site, listeners } = await gather(host, [encoding, encoding]);
    const [one, other] = listeners;
    const { server } = one;
    const broadcast = (data: string): void => void site.upgrader.broadcast(site.upgrader.connections, data);
    broadcast('1');
    server.send('2');
    broadcast('3');
    server.send(news);
    broadcast('4');
    server.ping('5');
    broadcast(news);
    server.send(new Blob(['6']));
    broadcast('7');
    server.send(new PreparedMessage('8'));
    server.close(1000);
    const expected = ['1', '2', '3', shown(news), '4', 'ping 5', shown(news), 'binary 6', '7', '8', 'close 1000'];
    expect(await one.part()).toEqual(expected.map((each) => (/^\d/.test(each) ? `text ${each}` : each)));
    expect(await other.part()).toEqual(['text 1', 'text 3', 'text 4', shown(news), 'text 7', 'close 1000']);
  });

  test('is one Buffer and one write for all who can share it', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain', 'contextless', 'contextless']);
    const written = listeners.map(watchWrites);
    for (let i = 0; i < 20; i++) site.upgrader.broadcast(site.upgrader.connections, `${news}${i}`);
    expect(written).toEqual([[], [], [], []]);
    await endOfTick();
    expect(written.map((buffers) => buffers.length)).toEqual([1, 1, 1, 1]);
    const [a, b, c, d] = written.map(([buffer]) => buffer);
    expect(Buffer.isBuffer(a) && a === b).toBe(true);
    expect(Buffer.isBuffer(c) && c === d).toBe(true);
    const expected = Array.from({ length: 20 }, (_, i) => shown(`${news}${i}`));
    expect(await told(listeners)).toEqual(listeners.map(() => [...expected, 'close 1000']));
  });

  test('is a copy: what becomes of the data afterwards does not matter', async () => {
    const { site, listeners } = await gather(host, ['plain', 'contextless', 'context']);
    const sizes = [1, 1_000, 10_000, 100_000];
    for (const size of sizes) {
      const bytes = Buffer.alloc(size, 'a');
      site.upgrader.broadcast(site.upgrader.connections, bytes);
      bytes.fill('b');
    }
    const expected = [...sizes.map((size) => shown(Buffer.alloc(size, 'a'))), 'close 1000'];
    expect(await told(listeners)).toEqual([expected, expected, expected]);
  });

  test('leaves at once where the tick comes to 64 KiB, and goes on in order', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain']);
    const [one, other] = listeners;
    const written = watchWrites(one);
    const bytes = (): number => written.reduce((sum, { length }) => sum + length, 0);
    const message = 'x'.repeat(1_020);
    for (let i = 0; i < 63; i++) site.upgrader.broadcast(site.upgrader.connections, message);
    expect(bytes()).toBe(0);
    site.upgrader.broadcast(site.upgrader.connections, message);
    expect(bytes()).toBe(64 * KiB);
    site.upgrader.broadcast(site.upgrader.connections, 'the rest');
    one.server.send('its own');
    expect(bytes()).toBe(64 * KiB);
    await endOfTick();
    expect(bytes()).toBe(64 * KiB + 10 + 9);
    const expected = [...Array<string>(64).fill(shown(message)), 'text the rest'];
    expect(await one.part()).toEqual([...expected, 'text its own', 'close 1000']);
    expect(await other.part()).toEqual([...expected, 'close 1000']);
  });

  test('piles up for a slow reader to its limit, and takes nothing from the others', async () => {
    const maxBufferedAmount = 256 * KiB;
    const { site, listeners } = await gather(host, ['plain', 'plain', 'contextless'], {
      maxBufferedAmount,
      slowConsumer: 'terminate',
    });
    const [slow, ...others] = listeners;
    slow.wire.pause();
    let count = 0;
    let most = 0;
    while (slow.server.readyState === slow.server.OPEN && count < 10_000) {
      for (let i = 0; i < 10; i++, count++) site.upgrader.broadcast(site.upgrader.connections, 'x'.repeat(8 * KiB));
      most = Math.max(most, slow.server.bufferedAmount);
      await endOfTick();
    }
    expect(await slow.server.closed).toMatchObject({ code: 1006 });
    expect(most).toBeGreaterThan(maxBufferedAmount - 80 * KiB);
    expect(most).toBeLessThan(maxBufferedAmount + 80 * KiB);
    for (const one of others) {
      await one.server.drained();
      const heard = await one.part();
      expect(heard.length).toBe(count + 1);
      expect(new Set(heard).size).toBe(2);
    }
  });
});
