import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { countListeners, watchProcess } from './census.js';
import { dial, exchange } from './client.js';
import { echo } from './echo.js';
import { type Gate, type Host, hosts, type Plan, type Route, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { handshake, knock, textFrame, Wire } from './raw.js';

const clients = 200;
const duration = 300;

/** Two ways to await something before accept; each tells what signal it got. */
const checks: Record<string, (check: (signal: AbortSignal) => Promise<void>) => Partial<Route>> = {
  'before the route': (check) => ({ gates: [({ signal }) => check(signal)] }),
  'in beforeUpgrade': (check) => ({ options: { beforeUpgrade: (_request, { signal }) => check(signal) } }),
};

const ways: Record<string, (wire: Wire) => void> = {
  resets: (wire) => wire.reset(),
  'half-closes': (wire) => wire.halfClose(),
};

/** Nothing is left of those who came and went, and the next one is served. */
async function expectNothingLeft(site: Site): Promise<void> {
  await vi.waitFor(() => expect(site.sockets.size).toBe(0), { timeout: 3_000, interval: 10 });
  expect(site.upgrader.connections.size).toBe(0);
  const socket = await dial(site, '/echo');
  expect(await exchange(socket, 'the next')).toBe('the next');
  socket.terminate();
  await vi.waitFor(() => expect(site.sockets.size).toBe(0), { timeout: 3_000, interval: 10 });
}

function checkedSite(host: Host, route: Partial<Route>, options: Plan['options'] = {}): Promise<Site> {
  return serve(host, {
    options,
    routes: [
      { path: '/checked', ...route },
      { path: '/echo', handler: echo },
    ],
  });
}

describe.each(hosts)('$name: a client that goes away', (host) => {
  describe.each(Object.entries(checks))('during a check %s', (_where, checked) => {
    test.each(Object.entries(ways))(`${clients} times, and %s, leaves nothing`, async (_way, goAway) => {
      const faults = watchProcess();
      const signals: AbortSignal[] = [];
      let accepted = 0;
      const site = await checkedSite(host, {
        ...checked(async (signal) => {
          signals.push(signal);
          // However busy the machine is, no check is over before its client has gone.
          await Promise.all([delay(duration), signal.aborted || once(signal, 'abort')]);
        }),
        handler: () => void accepted++,
      });
      const before = countListeners(site);
      const wires = await Promise.all(Array.from({ length: clients }, () => Wire.open(site)));
      await Promise.all(
        wires.map(async (wire, i) => {
          wire.send(handshake(site, { path: '/checked' }));
          await delay((i / clients) * (duration - 50));
          goAway(wire);
          await wire.ending();
        }),
      );
      await expectNothingLeft(site);
      expect(signals.length).toBeGreaterThan(clients * 0.9);
      await vi.waitFor(() => expect(signals.filter(({ aborted }) => !aborted).length).toBe(0));
      expect(accepted).toBe(0);
      expect(countListeners(site)).toEqual(before);
      expect(faults).toEqual([]);
    });

    test('is known by the signal before the check is over', async () => {
      const gone = latch();
      const site = await checkedSite(
        host,
        checked(async (signal) => {
          signal.addEventListener('abort', () => gone.open());
          await new Promise(() => {});
        }),
      );
      const wire = await knock(site, { path: '/checked' });
      await vi.waitFor(() => expect(site.sockets.size).toBe(1));
      await delay(20);
      wire.reset();
      await gone.promise;
      await expectNothingLeft(site);
    });

    test('is known by the signal when the application itself cut it off', async () => {
      const gone = latch();
      const started = latch();
      const site = await checkedSite(
        host,
        checked(async (signal) => {
          signal.addEventListener('abort', () => gone.open());
          started.open();
          await new Promise(() => {});
        }),
      );
      await knock(site, { path: '/checked' });
      await started.promise;
      for (const socket of site.sockets) socket.destroy();
      await gone.promise;
      await expectNothingLeft(site);
    });

    test('after it sent its first message, is known all the same', async () => {
      const gone = latch();
      const started = latch();
      const site = await checkedSite(
        host,
        checked(async (signal) => {
          signal.addEventListener('abort', () => gone.open());
          started.open();
          await new Promise(() => {});
        }),
      );
      const wire = await Wire.open(site);
      wire.send(handshake(site, { path: '/checked' }), textFrame('hello?'));
      await started.promise;
      wire.reset();
      await gone.promise;
      await expectNothingLeft(site);
    });
  });

  test.each(Object.entries(ways))('at the very moment of accept, and %s, leaves nothing', async (_way, goAway) => {
    const faults = watchProcess();
    const site = await checkedSite(host, {
      gates: [() => delay(50)],
      handler: (socket) => socket.send('welcome'),
    });
    const before = countListeners(site);
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const wire = await knock(site, { path: '/checked' });
        await delay(35 + i / 2);
        goAway(wire);
        await wire.ending();
      }),
    );
    await expectNothingLeft(site);
    expect(countListeners(site)).toEqual(before);
    expect(faults).toEqual([]);
  });

  test.each(Object.entries(ways))('just when it is refused, and %s, leaves nothing', async (_way, goAway) => {
    const faults = watchProcess();
    const body = 'no'.repeat(100_000);
    const refuse: Gate = async ({ answer }) => {
      await delay(20);
      answer(401, { 'Content-Type': 'text/plain' }, body);
    };
    const site = await checkedSite(host, { gates: [refuse] });
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const wire = await knock(site, { path: '/checked' });
        await delay(i / 2);
        goAway(wire);
        await wire.ending();
      }),
    );
    await expectNothingLeft(site);
    expect(faults).toEqual([]);
  });

  test('leaves no error behind that a late answer could meet', async () => {
    const faults = watchProcess();
    const late = latch();
    const site = await checkedSite(host, {
      gates: [
        async ({ answer, signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          answer(401, {}, 'too late');
          late.open();
        },
      ],
    });
    const wire = await knock(site, { path: '/checked' });
    await delay(20);
    wire.reset();
    await late.promise;
    await expectNothingLeft(site);
    expect(faults).toEqual([]);
  });
});

describe.each(hosts)('$name: a handshake that nobody decides', (host) => {
  test.each(Object.entries(checks))('(%s) gets 408 in time, and its signal fires', async (_where, checked) => {
    const faults = watchProcess();
    const signals: AbortSignal[] = [];
    const decided = latch();
    let accepted = 0;
    const site = await checkedSite(
      host,
      {
        ...checked(async (signal) => {
          signals.push(signal);
          await decided.promise;
        }),
        handler: () => void accepted++,
      },
      { handshakeTimeout: 50 },
    );
    const wire = await knock(site, { path: '/checked' });
    const response = await wire.lastResponse();
    expect(response.status).toBe(408);
    expect(response.header('content-length')).toBe(String(response.body.length));
    await vi.waitFor(() => expect(signals.map(({ aborted }) => aborted)).toEqual([true]));
    decided.open();
    await expectNothingLeft(site);
    expect(accepted).toBe(0);
    expect(faults).toEqual([]);
  });

  test('may still be answered by an application that is late', async () => {
    const faults = watchProcess();
    const decided = latch();
    const answered = latch();
    const site = await checkedSite(
      host,
      {
        gates: [
          async ({ answer }) => {
            await decided.promise;
            answer(401, {}, 'too late');
            answered.open();
          },
        ],
      },
      { handshakeTimeout: 30 },
    );
    const wire = await knock(site, { path: '/checked' });
    expect((await wire.lastResponse()).status).toBe(408);
    decided.open();
    await answered.promise;
    await expectNothingLeft(site);
    expect(faults).toEqual([]);
  });

  test('is not timed once it was accepted', async () => {
    const site = await serve(host, {
      options: { handshakeTimeout: 30 },
      routes: [{ path: '/echo', gates: [() => delay(5)], handler: echo }],
    });
    const socket = await dial(site, '/echo');
    await delay(60);
    expect(await exchange(socket, 'still open')).toBe('still open');
  });
});
