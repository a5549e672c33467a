import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { Upgrader } from '@drawbridge/core';
import { generate } from 'selfsigned';
import { describe, expect, onTestFinished, test } from 'vitest';
import { watchProcess } from '../behaviour/census.js';
import { requestHead, Wire } from '../behaviour/raw.js';

const certificate = generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec', algorithm: 'sha256' });

const hosts = [
  { scheme: 'http', secure: false, connected: 'connection', start: async (): Promise<Server> => createServer() },
  {
    scheme: 'https',
    secure: true,
    connected: 'secureConnection',
    start: async (): Promise<Server> => {
      const { private: key, cert } = await certificate;
      return createSecureServer({ key, cert });
    },
  },
];

/** What curl sends with `--http2`. */
const h2c = requestHead('GET / HTTP/1.1', {
  Host: 'localhost',
  Connection: 'Upgrade, HTTP2-Settings',
  Upgrade: 'h2c',
  'HTTP2-Settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
});

describe.each(hosts)('$scheme', ({ secure, connected, start }) => {
  test.each([
    ['alone', false],
    ['beside a neighbour', true],
  ])(
    'a connection that asks often for another protocol is one connection, and keeps no listeners (%s)',
    async (_whose, hasNeighbour) => {
      const faults = watchProcess();
      const server = await start();
      server.on('request', (_request, response) => response.end('a page'));
      const connections: Duplex[] = [];
      server.on(connected, (socket: Duplex) => connections.push(socket));
      if (hasNeighbour) server.on('upgrade', () => {});
      new Upgrader({ unclaimedTimeout: 1 }).attach(server);
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const wire = await Wire.open({ port: (server.address() as AddressInfo).port, secure });
      onTestFinished(() => {
        wire.reset();
        server.close();
      });
      for (let i = 0; i < 12; i++) {
        wire.send(h2c);
        expect((await wire.response()).body.toString()).toBe('a page');
      }
      expect(connections.length).toBe(1);
      for (const event of connections[0]?.eventNames() ?? []) {
        expect(connections[0]?.listenerCount(event), String(event)).toBeLessThan(6);
      }
      expect(faults).toEqual([]);
    },
  );
});
