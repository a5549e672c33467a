import { AsyncLocalStorage } from 'node:async_hooks';
import { PreparedMessage } from '@drawbridge/core';
import { describe, expect, test, vi } from 'vitest';
import { watchProcess } from './census.js';
import { hosts } from './hosts/index.js';
import { encodings, endOfTick, gather, type Listener, pileUp } from './outgoing.js';
import { shown } from './strict-reader.js';

type Outcome = [name: string, outcome: string | number];

/** Notes what becomes of each thing that is sent. */
class Outcomes {
  readonly all: Outcome[] = [];

  /** A callback for what is sent under this name. */
  readonly of = (name: string) => (error?: Error | null) => {
    this.all.push([name, error ? codeOf(error) : 'sent']);
  };

  get names(): string[] {
    return this.all.map(([name]) => name);
  }
}

function codeOf(error: Error & { code?: string | number }): string | number {
  return error.code ?? error.message;
}

function sendAllKinds({ server }: Listener, { of }: Outcomes): string[] {
  server.send('text', of('text'));
  server.ping('', undefined, of('ping'));
  server.send('x'.repeat(1_000), of('compressible'));
  server.send(Buffer.alloc(10_000), { compress: false }, of('large'));
  server.send(new PreparedMessage('prepared'), of('prepared'));
  server.pong('', undefined, of('pong'));
  server.send(new Blob(['blob']), of('blob'));
  server.send('first', { fin: false }, of('fragment'));
  server.send('last', { fin: true }, of('last'));
  server.sendJSON({}, of('json'));
  return ['text', 'ping', 'compressible', 'large', 'prepared', 'pong', 'blob', 'fragment', 'last', 'json'];
}

describe.each(hosts)('$name: the callbacks of what is sent', (host) => {
  test.each(encodings)('are called once each, in order, and not before the tick ends (%s)', async (encoding) => {
    const { listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const outcomes = new Outcomes();
    const names = sendAllKinds(one, outcomes);
    expect(outcomes.all).toEqual([]);
    await vi.waitFor(() => expect(outcomes.all.length).toBe(names.length), { interval: 1 });
    expect(outcomes.all).toEqual(names.map((name) => [name, 'sent']));
    await one.part();
    expect(outcomes.all.length).toBe(names.length);
  });

  test('are called where what left last was shared with others', async () => {
    const { site, listeners } = await gather(host, ['contextless']);
    const [one] = listeners;
    const outcomes = new Outcomes();
    one.server.send('small', outcomes.of('small'));
    site.upgrader.broadcast([one.server], 'shared');
    one.server.send('x'.repeat(1_000), outcomes.of('compressed in a later tick'));
    expect(await one.part()).toEqual(['text small', 'text shared', shown('x'.repeat(1_000)), 'close 1000']);
    expect(outcomes.all).toEqual([
      ['small', 'sent'],
      ['compressed in a later tick', 'sent'],
    ]);
  });

  test('are not called while a client that does not read leaves it waiting', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const outcomes = new Outcomes();
    await pileUp(one);
    one.server.send('waits', outcomes.of('waits'));
    for (let i = 0; i < 10; i++) await endOfTick();
    expect(outcomes.all).toEqual([]);
    one.wire.resume();
    await vi.waitFor(() => expect(outcomes.all).toEqual([['waits', 'sent']]), { interval: 1 });
  });

  test.each(encodings)('have each its own outcome where the client goes (%s)', async (encoding) => {
    const faults = watchProcess();
    const { listeners } = await gather(host, [encoding]);
    const [one] = listeners;
    const { server } = one;
    const outcomes = new Outcomes();
    await new Promise<void>((resolve) => {
      server.send('before', (error) => {
        outcomes.of('before')(error);
        resolve();
      });
    });
    const names = sendAllKinds(one, outcomes);
    one.transport.destroy();
    await server.closed;
    server.send('after', outcomes.of('after'));
    await vi.waitFor(() => expect(outcomes.all.length).toBe(names.length + 2), { interval: 1 });
    expect(outcomes.names.toSorted()).toEqual(['before', ...names, 'after'].toSorted());
    expect(outcomes.all.filter(([, outcome]) => outcome === 'sent')).toEqual([['before', 'sent']]);
    const [, first, ...others] = outcomes.all;
    expect(first).toEqual(['text', expect.stringMatching(encoding === 'context' ? 'being compressed' : 'CLIENT_GONE')]);
    expect(others).toContainEqual(['after', expect.stringContaining('not open')]);
    expect(faults).toEqual([]);
  });

  test.each(['reset', 'terminate'] as const)(
    'of a tick that is half written are told of its end by %s',
    async (how) => {
      const faults = watchProcess();
      const { listeners } = await gather(host, ['plain'], { maxBufferedAmount: 2 ** 30 });
      const [one] = listeners;
      const { server, wire } = one;
      const outcomes = new Outcomes();
      wire.pause();
      server.send('first', outcomes.of('first'));
      server.send(Buffer.alloc(30_000_000), outcomes.of('more than the network takes'));
      server.send('next', outcomes.of('next'));
      await endOfTick();
      server.send('waiting', outcomes.of('waiting'));
      server.ping('', undefined, outcomes.of('ping'));
      if (how === 'reset') wire.reset();
      else server.terminate();
      await server.closed;
      await vi.waitFor(() => expect(outcomes.all.length).toBe(5), { interval: 1 });
      const names = ['first', 'more than the network takes', 'next', 'waiting', 'ping'];
      expect(outcomes.names).toEqual(names);
      // Of a write that has begun Node does not tell whether the network took all of it.
      expect(outcomes.all.slice(2).filter(([, outcome]) => outcome === 'sent')).toEqual([]);
      expect(faults).toEqual([]);
      if (how === 'reset') return;
      wire.resume();
      expect(await one.hear()).toEqual(['text first', 'cut off']);
    },
  );

  test('are all called, though one throws, which is told once and closes with 1011', async () => {
    const reported: unknown[] = [];
    const { site, listeners } = await gather(host, ['plain', 'plain'], { onError: (error) => reported.push(error) });
    const [one, other] = listeners;
    const outcomes = new Outcomes();
    const fault = new Error('a fault of the application');
    one.server.send('1', outcomes.of('1'));
    one.server.send('2', () => {
      outcomes.of('2')();
      throw fault;
    });
    one.server.send('3', outcomes.of('3'));
    other.server.send('4', outcomes.of('4'));
    await vi.waitFor(() => expect(one.server.readyState).toBe(one.server.CLOSING), { interval: 1 });
    expect(await one.part()).toEqual(['text 1', 'text 2', 'text 3', 'close 1011']);
    expect(outcomes.names).toEqual(['1', '2', '3', '4']);
    expect(reported).toEqual([fault]);
    expect(site.upgrader.connections.has(other.server)).toBe(true);
    expect(await other.part()).toEqual(['text 4', 'close 1000']);
  });

  test.each(encodings)('may throw, too, where the client goes before it has left (%s)', async (encoding) => {
    const faults = watchProcess();
    const reported: unknown[] = [];
    const { site, listeners } = await gather(host, [encoding], { onError: (error) => reported.push(error) });
    const [{ server, transport }] = listeners;
    const outcomes = new Outcomes();
    const fault = new Error('a fault of the application');
    server.send('x'.repeat(100_000), () => {
      throw fault;
    });
    server.send('next', outcomes.of('next'));
    transport.destroy();
    await server.closed;
    await vi.waitFor(() => expect(outcomes.names).toEqual(['next']), { interval: 1 });
    await vi.waitFor(() => expect(site.upgrader.connections.size).toBe(0), { interval: 1 });
    expect(reported).toEqual([fault]);
    expect(faults).toEqual([]);
  });

  test.each(['send', 'ping', 'pong'] as const)('may throw where it is too late to %s', async (method) => {
    const faults = watchProcess();
    const reported: unknown[] = [];
    const { listeners } = await gather(host, ['plain'], { onError: (error) => reported.push(error) });
    const [{ server }] = listeners;
    const fault = new Error('a fault of the application');
    const fail = (): void => {
      throw fault;
    };
    server.close();
    if (method === 'send') server.send('too late', fail);
    else server[method]('too late', undefined, fail);
    await endOfTick();
    expect(reported).toEqual([fault]);
    expect(faults).toEqual([]);
  });

  test('are told where what is held back until a message ends is never sent, as that message does not end', async () => {
    const faults = watchProcess();
    const reported: unknown[] = [];
    const { listeners } = await gather(host, ['plain', 'context'], { onError: (error) => reported.push(error) });
    const fault = new Error('a fault of the application');
    for (const one of listeners) {
      const { server } = one;
      const outcomes = new Outcomes();
      server.send('fragment', { fin: false });
      server.send(new PreparedMessage('held back'), () => {
        throw fault;
      });
      server.send(new PreparedMessage('held back'), outcomes.of('held back'));
      server.close();
      await one.part();
      await server.closed;
      expect(outcomes.all).toEqual([['held back', 1000]]);
    }
    expect(reported).toEqual([fault, fault]);
    expect(faults).toEqual([]);
  });

  test('run in the async context that they were given in', async () => {
    const { listeners } = await gather(host, ['plain', 'plain', 'contextless']);
    const [one] = listeners;
    const context = new AsyncLocalStorage<string>();
    const found: unknown[] = [];
    const note = (name: string) => () => found.push([name, context.getStore()]);
    for (const [name, { server }] of Object.entries(listeners)) context.run(name, () => server.send('x', note(name)));
    context.run('same', () => one.server.send('x', { binary: true }, note('same')));
    context.run('prepared', () => one.server.send(new PreparedMessage('x'), note('prepared')));
    context.run('ping', () => one.server.ping('x', undefined, note('ping')));
    await vi.waitFor(() => expect(found.length).toBe(6), { interval: 1 });
    const names = ['0', 'same', 'prepared', 'ping', '1', '2'];
    expect(found).toEqual(names.map((name) => [name, name]));
  });
});

describe.each(hosts)('$name: what is waiting to be sent', (host) => {
  test('in this tick is waited for by drained()', async () => {
    const { listeners } = await gather(host, ['plain', 'context']);
    for (const one of listeners) {
      const { server } = one;
      const message = 'x'.repeat(50_000);
      server.send(message);
      server.send(message);
      const left = server.drained().then(() => server.bufferedAmount);
      expect(await left).toBeLessThan(64 * 1024);
      expect(await one.part()).toEqual([shown(message), shown(message), 'close 1000']);
    }
  });

  test('behind a message that has not ended counts in bufferedAmount, and has the same limit', async () => {
    const { listeners } = await gather(host, ['plain'], { maxBufferedAmount: 100_000, slowConsumer: 'terminate' });
    const [{ server }] = listeners;
    server.send('fragment', { fin: false });
    const before = server.bufferedAmount;
    server.send(new PreparedMessage('x'.repeat(1_000)));
    expect(server.bufferedAmount).toBe(before + 1_000);
    for (let i = 0; i < 98; i++) server.send(new PreparedMessage('x'.repeat(1_000)));
    expect(server.readyState).toBe(server.OPEN);
    server.send(new PreparedMessage('x'.repeat(1_000)));
    expect(server.readyState).toBe(server.CLOSING);
  });

  test('holds back a stream until it has left', async () => {
    const { listeners } = await gather(host, ['plain']);
    const [one] = listeners;
    const stream = one.server.stream();
    await pileUp(one);
    let drained = false;
    stream.once('drain', () => {
      drained = true;
    });
    while (stream.write(Buffer.alloc(10_000)));
    for (let i = 0; i < 10; i++) await endOfTick();
    expect(drained).toBe(false);
    expect(one.server.bufferedAmount).toBeLessThan(1.2 * 1024 * 1024);
    one.wire.resume();
    await vi.waitFor(() => expect(drained).toBe(true), { interval: 1 });
    stream.end();
  });
});
