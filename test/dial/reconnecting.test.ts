import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Connection,
  ConnectionClosed,
  HandshakeRefused,
  type Reconnecting,
  type ReconnectingOptions,
  Refusal,
  reconnecting,
  Upgrader,
  type Wait,
} from '@drawbridge/core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { watchProcess } from '../behaviour/census.js';
import { echo } from '../behaviour/echo.js';
import { latch } from '../behaviour/latch.js';
import { bridge, byteServer, failure, head, switching } from './servers.js';

/** Kept for the length of the test; it makes no noise. */
function link(url: string, options: ReconnectingOptions = {}): Reconnecting {
  const made = reconnecting(url, { backoff: 1, maxDelay: 2, onError() {}, ...options });
  onTestFinished(() => made.close());
  return made;
}

/** The first wait after this failure, which is then not waited for. */
async function firstWait(url: string, options: ReconnectingOptions = {}): Promise<Wait> {
  const waits = latch<Wait>();
  const made = link(url, { backoff: 100, ...options, onWait: waits.open });
  const wait = await Promise.race([waits.promise, made.closed.then((error) => Promise.reject(error))]);
  await made.close();
  return wait;
}

/** A server that closes each connection with these codes, one after the other, and at last keeps one. */
async function closer(...codes: number[]): Promise<{ url: string; upgrader: Upgrader }> {
  return bridge(false, (upgrader) => {
    upgrader.route('/', (socket) => {
      const code = codes.shift();
      if (code === 1006) socket.terminate();
      else if (code !== undefined) socket.close(code);
    });
  });
}

async function refuser(status: number, headers = {}): Promise<string> {
  const { url } = await bridge(false, (upgrader) => {
    const beforeUpgrade = () => {
      throw new Refusal(status, { headers });
    };
    upgrader.route('/', { beforeUpgrade }, () => {});
  });
  return url;
}

/** An address where nothing listens, until told to. */
async function address(): Promise<{ url: string; serve(upgrader: Upgrader): Promise<void> }> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return {
    url: `ws://127.0.0.1:${port}`,
    async serve(upgrader) {
      const server = createServer();
      upgrader.attach(server);
      onTestFinished(async () => {
        server.close();
        await upgrader.close({ timeout: 100 });
      });
      await once(server.listen(port, '127.0.0.1'), 'listening');
    },
  };
}

describe('a connection that comes back', () => {
  test('does so after every end that is not final', async () => {
    const codes = [1000, 1001, 1006, 1011, 4000, 4400, 4408];
    const { url } = await closer(...codes);
    const causes: Error[] = [];
    const kept = latch<Connection>();
    let opened = 0;
    const made = link(url, {
      onOpen: (socket) => {
        if (++opened > codes.length) kept.open(socket);
      },
      onWait: ({ cause }) => causes.push(cause),
    });
    expect((await kept.promise).readyState).toBe(1);
    expect(made.socket).toBe(await kept.promise);
    expect(causes.every((cause) => cause instanceof ConnectionClosed)).toBe(true);
    expect(causes.map((cause) => (cause as ConnectionClosed).code)).toEqual(codes);
  });

  test('does so from refusals that pass, and from a server that is not there', async () => {
    const { url, serve } = await address();
    const causes: unknown[] = [];
    const opened = latch<Connection>();
    const refusals = [408, 425, 429, 500, 502, 503, 504];
    const upgrader = new Upgrader().route(
      '/',
      {
        beforeUpgrade() {
          const status = refusals.shift();
          if (status) throw new Refusal(status);
          return undefined;
        },
      },
      echo,
    );
    link(url, {
      onOpen: opened.open,
      async onWait({ cause }) {
        causes.push((cause as HandshakeRefused).status ?? (cause as { code?: string }).code);
        if (causes.length === 2) await serve(upgrader);
      },
    });
    await opened.promise;
    const refused = causes.filter((cause) => cause !== 'CONNECTION_REFUSED');
    expect(causes.length - refused.length).toBeGreaterThanOrEqual(2);
    expect(refused).toEqual([408, 425, 429, 500, 502, 503, 504]);
  });

  test.each([1008, 4401, 4403])('stays away after close code %i, and says so', async (code) => {
    const { url } = await closer(code);
    const reported: unknown[] = [];
    const made = link(url, { onError: (error) => reported.push(error) });
    const end = await made.closed;
    expect(end).toBeInstanceOf(ConnectionClosed);
    expect(end).toMatchObject({ code });
    expect(reported).toEqual([end]);
  });

  test.each([400, 401, 403, 404])('stays away after a refusal with %i, and says so', async (status) => {
    const reported: unknown[] = [];
    const made = link(await refuser(status), { onError: (error) => reported.push(error) });
    const end = await made.closed;
    expect(end).toBeInstanceOf(HandshakeRefused);
    expect(end).toMatchObject({ status });
    expect(reported).toEqual([end]);
    expect(() => made.send('too late')).toThrow(expect.objectContaining({ code: 'NOT_CONNECTED' }));
  });

  test('ends at options that can never work', async () => {
    expect(() => reconnecting('not a url')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    for (const options of [{ backoff: -1 }, { maxDelay: 0.5 }, { maxUnsentMessages: -1 }, { maxUnsentBytes: -1 }]) {
      expect(() => reconnecting('ws://localhost:1', options)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
    const made = link('ws://localhost:1', { headers: { Upgrade: 'mine' } });
    expect(await made.closed).toMatchObject({ code: 'INVALID_HEADER' });
  });
});

describe('the wait', () => {
  test('is drawn evenly from nothing to a bound that doubles up to the longest', async () => {
    const { url } = await address();
    const waits: Wait[] = [];
    const enough = latch();
    const made = link(url, {
      backoff: 1,
      maxDelay: 8,
      onWait(wait) {
        waits.push(wait);
        if (waits.length === 40) enough.open();
      },
    });
    await enough.promise;
    await made.close();
    expect(waits.map(({ attempt }) => attempt)).toEqual(waits.map((_, index) => index + 1));
    for (const { attempt, delay } of waits) {
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThanOrEqual(Math.min(8, 2 ** (attempt - 1)));
    }
    const late = waits.slice(4).map(({ delay }) => delay);
    expect(Math.min(...late)).toBeLessThan(3);
    expect(Math.max(...late)).toBeGreaterThan(5);
  });

  test('begins anew when a connection has lasted, and does not when it has not', async () => {
    const attempts = async (lifetime: number): Promise<number[]> => {
      const { url } = await byteServer((socket, knock) => {
        socket.write(switching(knock));
        const goodbye = (): unknown => socket.end(Buffer.from([0x88, 0]));
        if (lifetime === 0) goodbye();
        else setTimeout(goodbye, lifetime);
      });
      const seen: number[] = [];
      const enough = latch();
      const made = link(url, {
        backoff: 80,
        maxDelay: 80,
        onWait({ attempt }) {
          seen.push(attempt);
          if (seen.length === 3) enough.open();
        },
      });
      await enough.promise;
      await made.close();
      return seen;
    };
    expect(await attempts(0)).toEqual([1, 2, 3]);
    expect(await attempts(120)).toEqual([1, 1, 1]);
  });

  test.each([1012, 1013])('is 5 to 30 s after close code %i, whatever the longest is', async (code) => {
    const { url } = await closer(code, code);
    const { delay, cause } = await firstWait(url, { maxDelay: 10 });
    expect(cause).toMatchObject({ code });
    expect(delay).toBeGreaterThanOrEqual(5_000);
    expect(delay).toBeLessThanOrEqual(30_000);
  });

  test.each([
    ['seconds', () => '7', 7_000, 7_100],
    ['a date', () => new Date(Date.now() + 60_000).toUTCString(), 50_000, 60_100],
    ['a time that is past', () => 'Sun, 06 Nov 1994 08:49:37 GMT', 0, 100],
    ['nonsense', () => 'soon', 0, 100],
  ])('is at least what Retry-After asks for: %s', async (_name, value, least, most) => {
    const { delay, cause } = await firstWait(await refuser(503, { 'Retry-After': value() }));
    expect(cause).toMatchObject({ status: 503 });
    expect(delay).toBeGreaterThanOrEqual(least);
    expect(delay).toBeLessThanOrEqual(most);
  });

  test('is never more than a timer can wait', async () => {
    const { delay } = await firstWait(await refuser(503, { 'Retry-After': '999999999999' }));
    expect(delay).toBe(2 ** 31 - 1);
  });
});

describe('messages sent while there is no connection', () => {
  test('throw NOT_CONNECTED, unless they may wait', async () => {
    const { url } = await address();
    expect(() => link(url).send('now')).toThrow(expect.objectContaining({ code: 'NOT_CONNECTED' }));
  });

  test('wait up to the bounds, and leave in their order behind what onOpen sends', async () => {
    const { url, serve } = await address();
    const heard: unknown[] = [];
    const all = latch();
    const upgrader = new Upgrader().route('/', (socket) => {
      socket.on('message', (data, isBinary) => {
        heard.push(isBinary ? data : String(data));
        if (heard.length === 5) all.open();
      });
    });
    const made = link(url, { maxUnsentMessages: 3, maxUnsentBytes: 10, onOpen: (socket) => socket.send('login') });
    made.send('123');
    expect(() => made.send('too many bytes')).toThrow(expect.objectContaining({ code: 'UNSENT_QUEUE_FULL' }));
    made.send(Buffer.from([1, 2, 3]));
    made.send(Buffer.from('456'), { binary: false });
    expect(() => made.send('')).toThrow(expect.objectContaining({ code: 'UNSENT_QUEUE_FULL' }));
    expect(made.unsent).toBe(3);
    await serve(upgrader);
    while (made.unsent > 0) await new Promise(setImmediate);
    made.send('live');
    await all.promise;
    expect(heard).toEqual(['login', '123', Buffer.from([1, 2, 3]), '456', 'live']);
  });

  test('do not count for ever against the bounds', async () => {
    let round = 0;
    const { url } = await bridge(false, (upgrader) => {
      upgrader.route('/', (socket) => {
        socket.on('message', () => socket.close(4000 + round));
      });
    });
    const rounds = latch();
    const made = link(url, {
      maxUnsentMessages: 1,
      maxUnsentBytes: 3,
      onWait() {
        made.send('abc');
        if (++round === 5) rounds.open();
      },
    });
    made.send('abc');
    await rounds.promise;
  });
});

describe('onOpen', () => {
  test.each([
    [
      'throws',
      () => {
        throw new Error('a mistake');
      },
    ],
    ['rejects', () => Promise.reject(new Error('a mistake'))],
  ])('that %s is reported, and the server gets 1011', async (_name, fails) => {
    const ends = latch<number>();
    const { url } = await bridge(false, (upgrader) => {
      upgrader.route('/', async (socket) => ends.open((await socket.closed).code));
    });
    const reported = latch<unknown>();
    let first = true;
    const again = latch();
    link(url, {
      onError: reported.open,
      onOpen() {
        if (!first) return again.open();
        first = false;
        return fails();
      },
    });
    expect(await reported.promise).toMatchObject({ message: 'a mistake' });
    expect(await ends.promise).toBe(1011);
    await again.promise;
  });

  test('may be a loop over the messages, which ends with the connection', async () => {
    const faults = watchProcess();
    const { url } = await closer(1011, 1006, 1000);
    let loops = 0;
    const three = latch();
    const reported: unknown[] = [];
    link(url, {
      onError: (error) => reported.push(error),
      async onOpen(socket) {
        try {
          for await (const message of socket) expect(message).toBeDefined();
        } finally {
          if (++loops === 3) three.open();
        }
      },
    });
    await three.promise;
    expect(reported).toEqual([]);
    expect(faults).toEqual([]);
  });

  test('is not the only thing that may fail: an onWait that throws is reported', async () => {
    const { url } = await address();
    const reported = latch<unknown>();
    const twice = latch();
    let waits = 0;
    link(url, {
      onError: reported.open,
      onWait() {
        if (++waits === 2) twice.open();
        throw new Error('a mistake');
      },
    });
    expect(await reported.promise).toMatchObject({ message: 'a mistake' });
    await twice.promise;
  });
});

describe('it is ended for good', () => {
  test('in the midst of a connection, by close', async () => {
    const ends = latch<unknown>();
    const { url } = await bridge(false, (upgrader) => {
      upgrader.route('/', async (socket) => ends.open(await socket.closed));
    });
    const opened = latch<Connection>();
    const made = link(url, { onOpen: opened.open });
    await opened.promise;
    await made.close(4321, 'enough');
    expect(await ends.promise).toMatchObject({ code: 4321, reason: 'enough' });
    expect(await made.closed).toBeUndefined();
    expect(made.socket).toBeUndefined();
  });

  test('in the midst of a connection, by the signal', async () => {
    const ends = latch<unknown>();
    const { url } = await bridge(false, (upgrader) => {
      upgrader.route('/', async (socket) => ends.open(await socket.closed));
    });
    const control = new AbortController();
    const made = link(url, { signal: control.signal, onOpen: () => control.abort() });
    expect(await made.closed).toBeUndefined();
    expect(await ends.promise).toMatchObject({ code: 1001 });
  });

  test('in the midst of a handshake', async () => {
    const knocked = latch();
    const { url, empty } = await byteServer(() => knocked.open());
    const made = link(url);
    await knocked.promise;
    await made.close();
    await empty();
  });

  test('in the midst of a wait', async () => {
    const { delay } = await firstWait(await refuser(503, { 'Retry-After': '3600' }));
    expect(delay).toBeGreaterThan(3_000_000);
  });

  test('before it began', async () => {
    const { url, sockets } = await byteServer((socket) => void socket.end(head('503 No')));
    expect(await link(url, { signal: AbortSignal.abort() }).closed).toBeUndefined();
    expect(sockets.size).toBe(0);
  });

  test('with a code that cannot be sent it goes on, and throws', async () => {
    const { url } = await closer();
    const opened = latch<Connection>();
    const made = link(url, { onOpen: opened.open });
    await opened.promise;
    expect(await failure(made.close(1006))).toBeInstanceOf(TypeError);
    expect(made.socket).toBe(await opened.promise);
  });
});
