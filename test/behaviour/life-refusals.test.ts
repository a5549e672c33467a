import { Refusal } from '@drawbridge/core';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { dial } from './client.js';
import { closeFrame, opcodes } from './frames.js';
import { hosts, type Site, serve } from './hosts/index.js';
import { knock } from './raw.js';

/** How the server ended the connection that it accepted only for that. */
async function closeOf(site: Site, path: string, options: Parameters<typeof dial>[2] = {}): Promise<[number, string]> {
  const socket = await dial(site, path, options);
  return new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, String(reason)])));
}

describe.each(hosts)('$name: a refusal that a page can see', (host) => {
  const foreign = { origin: 'https://evil.example' };

  test('closes with 4000 + status and a reason, before any handler runs', async () => {
    let handled = 0;
    const refuse = (status: number, body?: string) => () => {
      throw new Refusal(status, body === undefined ? {} : { body });
    };
    const handler = () => void handled++;
    const site = await serve(host, {
      options: { onError: () => {} },
      routes: [
        { path: '/origin', options: { refusals: 'close' }, handler },
        { path: '/401', options: { refusals: 'close', beforeUpgrade: refuse(401, 'log in first') }, handler },
        { path: '/404', options: { refusals: 'close', beforeUpgrade: refuse(404) }, handler },
        { path: '/long', options: { refusals: 'close', beforeUpgrade: refuse(403, 'ö'.repeat(100)) }, handler },
        {
          path: '/fault',
          options: {
            refusals: 'close',
            beforeUpgrade: () => {
              throw new Error('a secret');
            },
          },
          handler,
        },
      ],
    });
    expect(await closeOf(site, '/origin', foreign)).toEqual([4403, 'This origin may not connect here.']);
    expect(await closeOf(site, '/401')).toEqual([4401, 'log in first']);
    expect(await closeOf(site, '/404')).toEqual([4404, 'Not Found']);
    expect(await closeOf(site, '/long')).toEqual([4403, 'ö'.repeat(61)]);
    expect(await closeOf(site, '/fault')).toEqual([4500, 'Internal Server Error']);
    expect(handled).toBe(0);
    expect(site.upgrader.connections.size).toBe(0);
  });

  test('chooses a subprotocol, without which a browser would see nothing but 1006', async () => {
    const site = await serve(host, {
      routes: [{ path: '/', options: { refusals: 'close', subprotocols: ['v2.chat'] } }],
    });
    expect(await closeOf(site, '/', { ...foreign, protocols: ['v1.chat', 'v2.chat'] })).toEqual([
      4403,
      'This origin may not connect here.',
    ]);
  });

  test('is by HTTP unless the route says otherwise', async () => {
    const site = await serve(host, { routes: [{ path: '/' }, { path: '/close', options: { refusals: 'close' } }] });
    const wire = await knock(site, { path: '/', headers: { Origin: foreign.origin } });
    expect((await wire.lastResponse()).status).toBe(403);
    const welcome = await dial(site, '/close');
    expect(welcome.readyState).toBe(WebSocket.OPEN);
    welcome.terminate();
  });

  test('leaves no connection that no limit and no closing knows', async () => {
    const site = await serve(host, {
      options: { maxConnections: 2 },
      routes: [{ path: '/', options: { refusals: 'close' } }],
    });
    const mute = await Promise.all([0, 1].map(() => knock(site, { path: '/', headers: { Origin: foreign.origin } })));
    for (const wire of mute) {
      onTestFinished(() => wire.reset());
      expect((await wire.response()).status).toBe(101);
      expect((await wire.frame()).opcode).toBe(opcodes.close);
    }
    expect((await (await knock(site, { path: '/' })).lastResponse()).status).toBe(503);
    mute[0]?.send(closeFrame(4403));
    await vi.waitFor(async () => expect((await (await knock(site, { path: '/' })).response()).status).toBe(101));
    await site.upgrader.close({ timeout: 50 });
    await mute[1]?.ending();
  });
});
