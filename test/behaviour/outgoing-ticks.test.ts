import { fork } from 'node:child_process';
import { once } from 'node:events';
import { text as textOf } from 'node:stream/consumers';
import { PreparedMessage } from '@drawbridge/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { watchProcess } from './census.js';
import { echo } from './echo.js';
import { frame, opcodes } from './frames.js';
import { hosts } from './hosts/index.js';
import { latch } from './latch.js';
import { countWrites, endOfTick, gather, pileUp, watchWrites } from './outgoing.js';
import { knock, textFrame } from './raw.js';
import { readStrictly, shown } from './strict-reader.js';

const KiB = 1024;

function lengthsOf(chunks: readonly (Buffer | string)[]): number[] {
  return chunks.map(({ length }) => length);
}

describe.each(hosts)('$name: what is sent in one tick', (host) => {
  test('leaves in one write when the tick ends', async () => {
    const { site, listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const { server } = one;
    const [writes, written] = [countWrites(one), watchWrites(one)];
    for (let i = 10; i < 60; i++) server.send(`message ${i}`);
    server.ping();
    await Promise.resolve();
    server.pong();
    expect(writes()).toBe(0);
    await endOfTick();
    expect(writes()).toBe(1);
    expect(lengthsOf(written)).toEqual([50 * (2 + 'message 10'.length) + 2 + 2]);
    await new Promise((resolve) => server.send('has left', resolve));

    server.send('small');
    server.send(Buffer.alloc(5_000));
    site.upgrader.broadcast([server], 'shared');
    server.send(new PreparedMessage('prepared'));
    server.close();
    expect(writes()).toBe(2);
    await endOfTick();
    expect(writes()).toBe(3);
  });

  test('leaves in one write where it answers what came in one packet', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    echo(one.server);
    const writes = countWrites(one);
    const texts = ['a', 'b', 'c'];
    one.wire.send(...texts.map(textFrame), frame('d', { opcode: opcodes.ping }));
    for (const text of [...texts, 'd']) expect(await one.wire.text()).toBe(text);
    expect(writes()).toBe(1);
  });

  test('leaves at once where it comes to 64 KiB, and goes on in order', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const { server } = one;
    const written = watchWrites(one);
    const bytes = (): number => lengthsOf(written).reduce((sum, length) => sum + length, 0);
    const message = 'x'.repeat(1_020);
    for (let i = 0; i < 63; i++) server.send(message);
    expect(bytes()).toBe(0);
    server.send(message);
    expect(bytes()).toBe(64 * KiB);
    expect(server.bufferedAmount).toBeLessThanOrEqual(64 * KiB);
    server.send('the rest');
    expect(bytes()).toBe(64 * KiB);
    await endOfTick();
    expect(bytes()).toBe(64 * KiB + 10);
    expect(await one.part()).toEqual([...Array(64).fill(shown(message)), 'text the rest', 'close 1000']);
  });

  test('is not delayed where it is sent by a timer, an immediate or a promise', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const written = watchWrites(one);
    const next: number[] = [];
    await new Promise<void>((resolve) => {
      setTimeout(() => one.server.send('1'), 1);
      setTimeout(() => {
        next.push(written.length);
        resolve();
      }, 1);
    });
    await new Promise<void>((resolve) => {
      setImmediate(() => one.server.send('2'));
      setImmediate(() => {
        next.push(written.length);
        resolve();
      });
    });
    setImmediate(() => next.push(written.length));
    await Promise.resolve();
    one.server.send('3');
    await endOfTick();
    expect(next).toEqual([1, 2, 3]);
  });

  test('is not copied where it is large', async () => {
    const { site, listeners } = await gather(host, ['plain', 'plain']);
    const [one, other] = listeners;
    const written = [one, other].map(watchWrites);
    const [medium, large] = [Buffer.alloc(4 * KiB), Buffer.alloc(70_000)];
    one.server.send('head');
    one.server.send(medium);
    one.server.send('between');
    one.server.send(large);
    expect(written[0]?.includes(medium)).toBe(true);
    expect(written[0]?.includes(large)).toBe(true);
    const prepared = new PreparedMessage(large);
    for (let i = 0; i < 2; i++) {
      site.upgrader.broadcast([one.server, other.server], prepared);
      await endOfTick();
    }
    expect(new Set([...(written[0] ?? []).slice(-2), ...(written[1] ?? [])]).size).toBe(1);
    expect(await one.part()).toEqual([
      'text head',
      shown(medium),
      'text between',
      ...Array<string>(3).fill(shown(large)),
      'close 1000',
    ]);
  });

  test('is copied where it is small, so that the Buffer can be used again', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const scratch = Buffer.alloc(4 * KiB - 1);
    for (const letter of 'ABC') one.server.send(scratch.fill(letter).subarray(0, letter === 'B' ? undefined : 1));
    scratch.fill('D');
    expect(await one.part()).toEqual(['binary A', shown(Buffer.alloc(4 * KiB - 1, 'B')), 'binary C', 'close 1000']);
  });

  test('is whole where its characters take several bytes', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const texts = [...Array<string>(15).fill('x'.repeat(4_000)), '€'.repeat(4_000), '\ud800', '𝄞'.repeat(2_000), 'ä'];
    for (const text of texts) one.server.send(text);
    expect(await one.part()).toEqual([...texts.map((text) => shown(text)), 'close 1000']);
  });

  test('does not mix with what others are sent in between', async () => {
    const { listeners } = await gather(host, ['plain', 'plain', 'context']);
    for (let i = 0; i < 100; i++) {
      for (const [who, { server }] of listeners.entries()) {
        server.send(`${who}: ${i} `.padEnd(1_000, '.'));
        if (i % 7 === who) server.send(Buffer.alloc(5_000, String(who)));
      }
    }
    for (const [who, one] of listeners.entries()) {
      const expected: string[] = [];
      for (let i = 0; i < 100; i++) {
        expected.push(shown(`${who}: ${i} `.padEnd(1_000, '.')));
        if (i % 7 === who) expected.push(shown(Buffer.alloc(5_000, String(who))));
      }
      expect(await one.part()).toEqual([...expected, 'close 1000']);
    }
  });

  test('is sent before terminate() cuts the connection', async () => {
    const { site, listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const { server } = one;
    server.send('last');
    server.send(Buffer.alloc(5_000));
    site.upgrader.broadcast([server], 'words');
    server.terminate();
    server.send('too late');
    expect(await one.hear()).toEqual(['text last', shown(Buffer.alloc(5_000)), 'text words']);
    expect(await server.closed).toMatchObject({ code: 1006 });
  });

  test('counts in bufferedAmount until it has been written out', async () => {
    const { site, listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const { server } = one;
    server.send('12345');
    expect(server.bufferedAmount).toBe(7);
    site.upgrader.broadcast([server], '12345');
    site.upgrader.broadcast([server], '12345');
    expect(server.bufferedAmount).toBe(21);
    server.send(new PreparedMessage('1'));
    server.ping();
    expect(server.bufferedAmount).toBe(26);
    server.send(Buffer.alloc(10_000));
    expect(server.bufferedAmount).toBe(10_030);
    const out = latch<unknown>();
    server.send('last', out.open);
    await out.promise;
    expect(server.bufferedAmount).toBe(0);

    await pileUp(one);
    const { bufferedAmount } = server;
    server.send('12345');
    site.upgrader.broadcast([server], '12345');
    expect(server.bufferedAmount).toBe(bufferedAmount + 14);
    await endOfTick();
    expect(server.bufferedAmount).toBe(bufferedAmount + 14);
  });

  test('counts in bufferedAmount while it is being compressed', async () => {
    const { site, listeners } = await gather(host, ['context', 'contextless']);
    for (const one of listeners) {
      const { server } = one;
      server.send('x'.repeat(1_000));
      server.send('y'.repeat(1_000));
      server.ping('12345');
      site.upgrader.broadcast([server], 'z'.repeat(1_000));
      expect(server.bufferedAmount).toBe(3_005);
      await new Promise((resolve) => server.send('last', resolve));
      expect(server.bufferedAmount).toBe(0);
      const expected = ['x', 'y'].map((letter) => shown(letter.repeat(1_000)));
      expect(await one.part()).toEqual([
        ...expected,
        'ping 12345',
        shown('z'.repeat(1_000)),
        'text last',
        'close 1000',
      ]);
    }
  });

  test('is not lost on the others where a stream of somebody else throws as it is written to', async () => {
    const faults = watchProcess();
    const { listeners } = await gather(host, ['plain', 'plain']);
    const [one, other] = listeners;
    const fault = new Error('a stream of somebody else');
    const told: unknown[] = [];
    one.transport.write = () => {
      throw fault;
    };
    one.server.send('x', (error) => told.push(error));
    other.server.send('y');
    await endOfTick();
    expect(await one.server.closed).toMatchObject({ code: 1006 });
    expect(told).toEqual([fault]);
    other.server.send('z');
    await endOfTick();
    expect(await other.part()).toEqual(['text y', 'text z', 'close 1000']);
    expect(faults).toEqual([]);
  });
});

test('on every host a program that sends and exits in one tick has sent', async () => {
  const names = hosts.map(({ name }) => name);
  const program = fork(new URL('outgoing-exit.mjs', import.meta.url).pathname, names, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  onTestFinished(() => void program.kill('SIGKILL'));
  const failure = textOf(program.stderr as NonNullable<typeof program.stderr>);
  const [ports] = await Promise.race([
    once(program, 'message') as Promise<[number[]]>,
    failure.then((words) => Promise.reject(new Error(`It ended before it listened: ${words}`))),
  ]);
  const wires = await Promise.all(
    ports.map((port, i) =>
      knock({ port, secure: names[i] === 'https', authority: `127.0.0.1:${port}` }, { path: '/' }),
    ),
  );
  await Promise.all(wires.map((wire) => wire.response()));
  const told = Promise.all(
    wires.map(async (wire) => {
      await wire.ending();
      return readStrictly(wire.unread, 'plain');
    }),
  );
  program.send('exit');
  const expected = ['text last', shown(Buffer.alloc(5_000)), 'text words'];
  expect(await told).toEqual(names.map(() => expected));
  expect(await failure).toBe('');
});
