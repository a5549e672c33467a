import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { echo } from './echo.js';
import { type Gate, hosts, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { handshake, textFrame, Wire } from './raw.js';

const slow: Gate = async () => {
  await delay(50);
};

describe.each(hosts)('$name: bytes that come early', (host) => {
  describe.each([
    ['at once', []],
    ['after 50 ms', [slow]],
  ])('to a route that decides %s', (_name, gates) => {
    const routes = [{ path: '/echo', gates, handler: echo }];

    test('in the packet of the handshake are not lost', async () => {
      const site = await serve(host, { routes });
      const wire = await Wire.open(site);
      wire.send(handshake(site), textFrame('one'), textFrame('two'));
      expect((await wire.response()).status).toBe(101);
      expect([await wire.text(), await wire.text()]).toEqual(['one', 'two']);
      wire.send(textFrame('three'));
      expect(await wire.text()).toBe('three');
    });

    test('in the packet of the handshake may be half a frame', async () => {
      const site = await serve(host, { routes });
      const wire = await Wire.open(site);
      const frame = textFrame('in two halves');
      wire.send(handshake(site), frame.subarray(0, 8));
      expect((await wire.response()).status).toBe(101);
      wire.send(frame.subarray(8));
      expect(await wire.text()).toBe('in two halves');
    });

    test('in packets behind the handshake are not lost, in order', async () => {
      const site = await serve(host, { routes });
      const wire = await Wire.open(site);
      wire.send(handshake(site), textFrame('0'));
      for (let i = 1; i < 10; i++) {
        await delay(1);
        wire.send(textFrame(String(i)));
      }
      expect((await wire.response()).status).toBe(101);
      for (let i = 0; i < 10; i++) expect(await wire.text()).toBe(String(i));
    });

    test('may be more than the buffers hold', async () => {
      const site = await serve(host, { routes });
      const wire = await Wire.open(site);
      const texts = Array.from({ length: 20 }, (_, i) => String.fromCharCode(97 + i).repeat(100_000));
      wire.send(handshake(site), ...texts.map(textFrame));
      expect((await wire.response()).status).toBe(101);
      for (const text of texts) expect((await wire.text()) === text).toBe(true);
    });
  });

  test('behind a pending upgrade do not pile up in memory', async () => {
    const decided = latch();
    const site = await serve(host, { routes: [{ path: '/echo', gates: [() => decided.promise], handler: echo }] });
    const wire = await Wire.open(site);
    wire.send(handshake(site));
    wire.send(...Array.from({ length: 80 }, () => textFrame('x'.repeat(100_000))));
    const socket = await firstOf(site.sockets);
    await delay(100);
    expect(socket.bytesRead).toBeLessThan(4_000_000);
    decided.open();
    expect((await wire.response()).status).toBe(101);
    for (let i = 0; i < 80; i++) expect((await wire.text()).length).toBe(100_000);
  });
});

async function firstOf<T>(values: Iterable<T>): Promise<T> {
  for (const value of values) return value;
  throw new Error('There is none.');
}
