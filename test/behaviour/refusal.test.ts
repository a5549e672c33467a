import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { watchProcess } from './census.js';
import { echo } from './echo.js';
import { type Gate, hosts, type Site, serve } from './hosts/index.js';
import { handshake, knock, textFrame, Wire } from './raw.js';

const refuseWith =
  (status: number, headers: Record<string, string>, body: string): Gate =>
  async ({ answer }) => {
    await delay(1);
    answer(status, headers, body);
  };

/** In less time than refused clients are given to close: each is gone because it has closed. */
async function expectAllClosed(site: Site): Promise<void> {
  await vi.waitFor(() => expect(site.sockets.size).toBe(0), { timeout: 700, interval: 10 });
}

const large = 'no! '.repeat(16 * 1024);

describe.each(hosts)('$name: a refusal', (host) => {
  test("carries the application's status, headers and body", async () => {
    const gate = refuseWith(402, { 'X-Price': '7', 'Content-Type': 'text/html; charset=utf-8' }, '<p>Pay – 7 €</p>');
    const site = await serve(host, { routes: [{ path: '/echo', gates: [gate] }] });
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(402);
    expect(response.header('x-price')).toBe('7');
    expect(response.header('content-type')).toBe('text/html; charset=utf-8');
    expect(response.body.toString()).toBe('<p>Pay – 7 €</p>');
    expect(response.header('content-length')).toBe(String(response.body.length));
  });

  test('may be a redirect without a body', async () => {
    const site = await serve(host, {
      routes: [{ path: '/echo', gates: [refuseWith(302, { Location: '/login' }, '')] }],
    });
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(302);
    expect(response.header('location')).toBe('/login');
    expect(response.body.length).toBe(0);
  });

  test('answers for what stands before the route and throws', async () => {
    const gate: Gate = async () => {
      throw new Error('out of order');
    };
    const site = await serve(host, { options: { onError: () => {} }, routes: [{ path: '/echo', gates: [gate] }] });
    expect((await (await knock(site)).lastResponse()).status).toBe(500);
  });

  test('of 64 KiB arrives whole, 1,000 times at once, and each socket is gone within a second', async () => {
    const faults = watchProcess();
    const gate = refuseWith(401, { 'Content-Type': 'text/plain' }, large);
    const site = await serve(host, { routes: [{ path: '/echo', gates: [gate] }] });
    await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const response = await (await knock(site)).lastResponse();
        expect(response.status).toBe(401);
        expect(response.body.toString() === large).toBe(true);
      }),
    );
    await expectAllClosed(site);
    expect(faults).toEqual([]);
  });

  test('is the end for a client that does not want to go', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', gates: [refuseWith(401, {}, 'go')] }] });
    const wire = await Wire.open(site, { keepOpen: true });
    wire.send(handshake(site));
    expect((await wire.lastResponse()).status).toBe(401);
    await vi.waitFor(() => expect(site.sockets.size).toBe(0), { timeout: 1_500, interval: 20 });
  });

  test('has FIN right behind it', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', gates: [refuseWith(401, {}, 'go')] }] });
    for (const path of ['/echo', '/nowhere']) {
      const wire = await knock(site, { path });
      await wire.response();
      const start = performance.now();
      await wire.ending();
      expect(performance.now() - start).toBeLessThan(500);
    }
  });

  test('arrives whole at a client that reads late', async () => {
    const body = 'a long story '.repeat(800_000);
    const site = await serve(host, {
      routes: [{ path: '/echo', gates: [refuseWith(403, { 'Content-Type': 'text/plain' }, body)] }],
    });
    const wire = await Wire.open(site);
    wire.pause();
    wire.send(handshake(site));
    await delay(1_500);
    wire.resume();
    const response = await wire.lastResponse();
    expect(response.status).toBe(403);
    expect(response.body.toString() === body).toBe(true);
  });

  test('arrives whole at a client that has sent messages already', async () => {
    const site = await serve(host, {
      routes: [{ path: '/echo', gates: [refuseWith(403, { 'Content-Type': 'text/plain' }, large)] }],
    });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const wire = await Wire.open(site);
        wire.send(handshake(site), textFrame('x'.repeat(3_000_000)));
        const response = await wire.lastResponse();
        expect(response.status).toBe(403);
        expect(response.body.toString() === large).toBe(true);
      }),
    );
    await expectAllClosed(site);
  });

  test('of the handshake itself arrives whole at a client that has sent messages already', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', handler: echo }] });
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const wire = await Wire.open(site);
        wire.send(handshake(site, { headers: { 'Sec-WebSocket-Version': '8' } }), textFrame('x'.repeat(3_000_000)));
        expect((await wire.lastResponse()).status).toBe(426);
      }),
    );
  });
});

describe.each(hosts)('$name: a server that is closing', (host) => {
  test('refuses with 503 and Retry-After while the open connections end', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', handler: echo }] });
    const open = await knock(site);
    expect((await open.response()).status).toBe(101);
    const late = await Wire.open(site);
    expect(site.upgrader.closing).toBe(false);
    const closed = site.upgrader.close({ timeout: 5_000 });
    expect(site.upgrader.closing).toBe(true);
    late.send(handshake(site));
    const response = await late.lastResponse();
    expect(response.status).toBe(503);
    expect(response.header('retry-after')).toMatch(/^\d+$/);
    expect(response.header('content-length')).toBe(String(response.body.length));
    const goodbye = await open.frame();
    expect(goodbye.opcode).toBe(8);
    expect(goodbye.payload.readUInt16BE(0)).toBe(1001);
    open.reset();
    await closed;
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('refuses with 503 what it has not decided yet', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', gates: [() => new Promise(() => {})] }] });
    const wire = await knock(site);
    await vi.waitFor(() => expect(site.sockets.size).toBe(1));
    await delay(20);
    const closed = site.upgrader.close({ timeout: 1_000 });
    expect((await wire.lastResponse()).status).toBe(503);
    await closed;
  });

  test('cuts off who does not answer its goodbye', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', handler: echo }] });
    const wire = await knock(site);
    expect((await wire.response()).status).toBe(101);
    await site.upgrader.close({ timeout: 50 });
    await wire.ending();
    expect(site.upgrader.connections.size).toBe(0);
  });
});
