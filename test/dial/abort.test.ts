import { type DialOptions, dial } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { watchProcess } from '../behaviour/census.js';
import { echo } from '../behaviour/echo.js';
import { authority, bridge, connectProxy } from './servers.js';

/** Dials many at a time, each aborted a little later than the one before, so that each step of a handshake is hit. */
async function abortAll(count: number, url: string, options: DialOptions): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const control = new AbortController();
      setTimeout(() => control.abort(), index / 4);
      try {
        const socket = await dial(url, { ca: authority, ...options, signal: control.signal });
        socket.terminate();
        return 'OPEN';
      } catch (error) {
        return (error as { code: string }).code;
      }
    }),
  );
}

describe.each([
  { way: 'ws', secure: false, proxied: false },
  { way: 'wss', secure: true, proxied: false },
  { way: 'ws through a proxy', secure: false, proxied: true },
  { way: 'wss through a proxy', secure: true, proxied: true },
])('over $way', ({ secure, proxied }) => {
  test.each(['/echo', '/nowhere'])(
    'a handshake at %s may be aborted at any moment, and leaves nothing',
    async (path) => {
      const faults = watchProcess();
      const server = await bridge(secure, (upgrader) => upgrader.route('/echo', echo));
      const proxy = await connectProxy();
      const codes = await abortAll(200, server.url + path, proxied ? { proxy: proxy.url } : {});
      expect(new Set(codes)).toContain('DIAL_ABORTED');
      const others = codes.filter((code) => code !== 'DIAL_ABORTED');
      expect(new Set(others)).toEqual(
        new Set(others.length > 0 ? [path === '/echo' ? 'OPEN' : 'HANDSHAKE_REFUSED'] : []),
      );
      await server.empty();
      await proxy.empty();
      expect(faults).toEqual([]);
    },
  );
});
