import { type Connection, PreparedMessage } from '@drawbridge/core';
import { describe, expect, test, vi } from 'vitest';
import { closeFrame, frame, opcodes } from './frames.js';
import { hosts, type Site } from './hosts/index.js';
import { latch } from './latch.js';
import { encodings, endOfTick, gather, type Listener, pileUp } from './outgoing.js';
import { textFrame } from './raw.js';
import { shown } from './strict-reader.js';

const sizes = [0, 1, 63, 64, 125, 126, 500, 1_365, 1_400, 4095, 4096, 5_000, 65_535, 65_536];
const alphabets = ['abcdefgh', 'äß€', '𝄞x\ud800'];

/** Those named by the environment variable `SEEDS` (separated by commas), or two. */
const seeds = (process.env.SEEDS ?? '1,2').split(',').map(Number);

/** Gives a whole number below the one that it is given. */
type Pick = (below: number) => number;

/** A small generator of numbers, so that a failure can be played again from its seed. */
function random(seed: number): Pick {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

function anyOf<T>(list: readonly T[], pick: Pick): T {
  return list[pick(list.length)] as T;
}

/** One of the clients, and what the sending to it so far has to come to. */
class Correspondence {
  readonly listener: Listener;
  readonly expected: string[] = [];
  /** Pongs that were owed while the network took nothing, which come when it does. */
  readonly late = new Set<string>();
  readonly #outcomes: { number: number; wasOpen: boolean; failed: boolean }[] = [];
  #callbacks = 0;
  #terminated = false;
  #begun: { isBinary: boolean; parts: Buffer[] } | undefined;
  #heldBack: string[] = [];

  constructor(listener: Listener) {
    this.listener = listener;
    listener.server.on('ping', (data: Buffer) => {
      if (this.server.readyState !== this.server.OPEN) return;
      if (listener.transport.writableNeedDrain) this.late.add(`pong ${data}`);
      else this.expected.push(`pong ${data}`);
    });
  }

  get server(): Connection<unknown> {
    return this.listener.server;
  }

  send(data: string | Buffer, compress?: boolean): void {
    if (this.#begun) return this.sendFragment(data, true);
    this.server.send(data, { compress }, this.#callback());
    this.#expect(shown(data));
  }

  sendBlob(data: string): void {
    if (this.#begun) return;
    this.server.send(new Blob([data]), this.#callback());
    this.#expect(shown(data, true));
  }

  /** A further one of the message that has begun, or the first of the next. */
  sendFragment(data: string | Buffer, fin: boolean): void {
    this.#begun ??= { isBinary: typeof data !== 'string', parts: [] };
    this.server.send(data, { fin }, this.#callback());
    this.#begun.parts.push(Buffer.from(data as string));
    if (!fin) return this.#expect('fragment');
    this.#expect(shown(Buffer.concat(this.#begun.parts), this.#begun.isBinary), ...this.#heldBack);
    this.#begun = undefined;
    this.#heldBack = [];
  }

  ping(data: string): void {
    this.server.ping(data, undefined, this.#callback());
    this.#expect(`ping ${data}`);
  }

  pong(data: string): void {
    this.server.pong(data, undefined, this.#callback());
    this.#expect(`pong ${data}`);
  }

  sendPrepared(data: string): void {
    this.server.send(new PreparedMessage(data), this.#begun ? undefined : this.#callback());
    this.expectWhole(shown(data));
  }

  /** A whole message is waiting behind the one that has begun. */
  expectWhole(told: string): void {
    if (this.#begun) this.#heldBack.push(told);
    else this.#expect(told);
  }

  close(code: number): void {
    const wasOpen = this.server.readyState === this.server.OPEN;
    this.server.close(code, 'bye');
    if (wasOpen) this.expected.push(`close ${code} bye`);
  }

  terminate(): void {
    this.server.terminate();
    this.#terminated = true;
  }

  /** What it has been told came as it should have come. */
  async check(): Promise<void> {
    const told = (await this.listener.part()).filter((one) => !this.late.has(one));
    const whole = told.filter((one) => one !== 'cut off');
    if (this.#terminated) expect(whole).toEqual(this.expected.slice(0, whole.length));
    else expect(told).toEqual(this.expected);
    await vi.waitFor(() => expect(this.#outcomes.length).toBe(this.#callbacks), { interval: 2 });
    expect(new Set(this.#outcomes.map(({ number }) => number)).size).toBe(this.#callbacks);
    if (this.#terminated) return;
    const sent = this.#outcomes.filter(({ wasOpen }) => wasOpen).map(({ number }) => number);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    for (const { wasOpen, failed } of this.#outcomes) expect(failed).toBe(!wasOpen);
  }

  #expect(...told: string[]): void {
    if (this.server.readyState === this.server.OPEN) this.expected.push(...told);
  }

  #callback(): (error?: Error) => void {
    const number = this.#callbacks++;
    const wasOpen = this.server.readyState === this.server.OPEN;
    return (error) => void this.#outcomes.push({ number, wasOpen, failed: error instanceof Error });
  }
}

/** All the ways to send something, to one, to some or to all, each picked at random in what is left to chance. */
function waysToSend({ upgrader }: Site, all: readonly Correspondence[], pick: Pick): (() => void)[] {
  let number = 0;
  const anyone = (): Correspondence => anyOf(all, pick);
  const text = (): string => `${number++} `.padEnd(anyOf(sizes, pick), anyOf(alphabets, pick));
  const broadcast = (to: readonly Correspondence[], except?: Correspondence): void => {
    const data = text();
    const room = to.map(({ server }) => server);
    upgrader.broadcast(to === all ? () => true : room, data, { except: except?.server });
    for (const one of to) if (one !== except) one.expectWhole(shown(data));
  };
  return [
    () => anyone().send(text()),
    () => anyone().send(Buffer.from(text())),
    () => anyone().send(text(), false),
    () => anyone().sendBlob(text()),
    () => anyone().sendFragment(text(), pick(3) === 0),
    () => anyone().sendFragment(Buffer.from(text()), pick(3) === 0),
    () => anyone().sendPrepared(text()),
    () => anyone().ping(`${number++}`),
    () => anyone().pong(`${number++}`),
    () => anyone().listener.wire.send(frame(`from the client ${number++}`, { opcode: opcodes.ping })),
    () => broadcast(all),
    () => broadcast(all),
    () => broadcast(all, anyone()),
    () => broadcast(all.filter(() => pick(2) === 0)),
  ];
}

const waysToWait = [
  () => Promise.resolve(),
  () => new Promise(process.nextTick),
  () => new Promise(setImmediate),
  () => new Promise((resolve) => setTimeout(resolve)),
];

describe.each(hosts)('$name: what is sent', (host) => {
  test.each(encodings.flatMap((encoding) => seeds.map((seed) => [encoding, seed] as const)))(
    'arrives whole and in order, whatever it is and whenever it was sent (%s, seed %i)',
    async (encoding, seed) => {
      const { site, listeners } = await gather(host, [encoding, encoding, encoding], { maxBufferedAmount: 2 ** 28 });
      const all = listeners.map((one) => new Correspondence(one));
      const pick = random(seed);
      const ways = waysToSend(site, all, pick);
      for (let tick = 0; tick < 30; tick++) {
        for (let count = pick(12); count >= 0; count--) anyOf(ways, pick)();
        if (tick === 15 && pick(2) === 0) all[1]?.close(4001);
        if (tick === 20 && pick(2) === 0) all[2]?.terminate();
        await anyOf(waysToWait, pick)();
      }
      for (const one of all) one.close(1000);
      await Promise.all(all.map((one) => one.check()));
    },
  );

  test.each(encodings)('keeps its place while an earlier message is worked at (%s)', async (encoding) => {
    const { site, listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const { server } = one;
    const large = 'large '.repeat(50_000);
    server.send(large);
    server.ping('1');
    server.send('2');
    server.pong('3');
    server.send(new Blob([large]));
    site.upgrader.broadcast([server], '4');
    server.send(new PreparedMessage('5'.repeat(100)));
    server.send(large, { compress: false });
    server.ping('6');
    server.close(4000, 'the end');
    server.send('too late');
    site.upgrader.broadcast([server], 'too late');
    server.ping('too late');
    expect(await one.part()).toEqual([
      shown(large),
      'ping 1',
      'text 2',
      'pong 3',
      shown(large, true),
      'text 4',
      shown('5'.repeat(100)),
      shown(large),
      'ping 6',
      'close 4000 the end',
    ]);
  });

  test.each(encodings)('is behind the pongs for the pings before it (%s)', async (encoding) => {
    const { site, listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const { server, wire } = one;
    const pings: string[] = [];
    server.on('ping', (data: Buffer) => {
      pings.push(String(data));
      server.send(`heard ${data}`);
    });
    server.on('message', (data) => site.upgrader.broadcast([server], String(data).repeat(1_000)));
    const ping = (data: string): Buffer => frame(data, { opcode: opcodes.ping });
    wire.send(ping('a'), textFrame('b'), ping('c'), textFrame('d'), ping('e'), closeFrame(1000));
    expect(await one.hear()).toEqual([
      'pong a',
      'text heard a',
      shown('b'.repeat(1_000)),
      'pong c',
      'text heard c',
      shown('d'.repeat(1_000)),
      'pong e',
      'text heard e',
      'close 1000',
    ]);
    expect(pings).toEqual(['a', 'c', 'e']);
  });

  test.each(encodings)('counts once in messagesOut, though it is sent in fragments (%s)', async (encoding) => {
    const { listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const { server } = one;
    server.send('first', { fin: false });
    server.send(new PreparedMessage('another'));
    server.send('next', { fin: false });
    expect(server.messagesOut).toBe(0);
    server.send('last', { fin: true });
    expect(server.messagesOut).toBe(2);
    expect(await one.part()).toEqual(['fragment', 'fragment', 'text firstnextlast', 'text another', 'close 1000']);
  });

  test.each(encodings)('lets nothing but control frames between the fragments of a message (%s)', async (encoding) => {
    const { site, listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const { server } = one;
    const fragment = 'fragment '.repeat(100);
    site.upgrader.broadcast([server], 'before');
    server.send(fragment, { fin: false });
    server.ping('1');
    server.send(new PreparedMessage('prepared'));
    await endOfTick();
    site.upgrader.broadcast([server], 'broadcast');
    server.send(fragment, { fin: false });
    server.pong('2');
    server.send(fragment, { fin: true });
    server.send('after');
    expect(await one.part()).toEqual([
      'text before',
      'fragment',
      'ping 1',
      'fragment',
      'pong 2',
      shown(fragment.repeat(3)),
      'text prepared',
      'text broadcast',
      'text after',
      'close 1000',
    ]);
  });

  test('is not kept waiting by the pings of a client that does not read, nor does their number make it more', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const { server, wire } = one;
    await pileUp(one);
    const { bufferedAmount } = server;
    const last = latch();
    server.on('ping', (data: Buffer) => String(data) === 'last' && last.open());
    wire.send(frame('first', { opcode: opcodes.ping }));
    for (let i = 0; i < 100; i++)
      wire.send(...Array<Buffer>(100).fill(frame('x'.repeat(125), { opcode: opcodes.ping })));
    wire.send(frame('last', { opcode: opcodes.ping }));
    await last.promise;
    expect(server.bufferedAmount).toBeLessThanOrEqual(bufferedAmount);
    wire.resume();
    await server.drained();
    const told = (await one.part()).filter((each) => !each.startsWith('binary'));
    expect(told).toEqual(['pong last', 'close 1000']);
  });
});
