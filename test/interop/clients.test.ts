import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { echo } from '../behaviour/echo.js';
import type { Plan } from '../behaviour/hosts/host.js';
import { latch } from '../behaviour/latch.js';
import { start, variants } from './front.js';
import { messageOf, messages, Peer, type Report, same } from './peer.js';
import { type Command, gorilla, nodeItself, python } from './programs.js';

interface Client {
  readonly name: string;
  readonly command: Command | undefined;
  /** Whether it can send pings and fragments and set the Origin. */
  readonly full: boolean;
  /** Whether it shows the status of a refusal, and its body. */
  readonly shows: 'body' | 'status' | 'nothing';
}

const clients: Client[] = [
  { name: "Go's gorilla/websocket", command: await gorilla(), full: true, shows: 'body' },
  { name: "Python's websockets", command: await python(), full: true, shows: 'status' },
  { name: "Node's own WebSocket", command: await nodeItself(), full: false, shows: 'nothing' },
];

const plan = (ended: (end: unknown) => void): Plan => ({
  routes: [
    { path: '/echo', handler: echo },
    { path: '/compressed', options: { perMessageDeflate: { threshold: 0 } }, handler: echo },
    { path: '/chat', options: { subprotocols: ['v2.chat', 'v1.chat'] }, handler: echo },
    { path: '/few', options: { maxFragments: 8 }, handler: echo },
    { path: '/closed', handler: async (socket) => ended(await socket.closed) },
    { path: '/close', handler: (socket, { query }) => socket.close(Number(query.code), String(query.reason)) },
    {
      path: '/ping',
      handler(socket) {
        socket.on('pong', (data) => socket.send(`pong ${data}`));
        socket.ping('are you there');
      },
    },
  ],
});

describe.each(clients)('$name as a client', ({ command, full, shows }) => {
  let peer: Peer;

  beforeAll(() => {
    if (!command) return undefined;
    peer = new Peer(command);
    return () => peer.stop();
  });

  describe.skipIf(!command).each(variants)('of $host.name over $scheme', (variant) => {
    let ended = latch<unknown>();
    let stop = async (): Promise<void> => {};
    let url: string;

    beforeAll(async () => {
      const site = await start(
        variant,
        plan((end) => ended.open(end)),
      );
      ({ stop, url } = site);
    });
    afterAll(() => stop());

    /** Not a skipped test: there is nothing to try. */
    const whereItCan: (name: string, body: () => Promise<void>) => void = full ? test : () => {};

    async function expectEcho(message: string | Buffer): Promise<void> {
      expect(await peer.send(message)).toEqual({ event: 'done' });
      const answer = await peer.next();
      expect(answer.event).toBe('message');
      expect(same(messageOf(answer), message)).toBe(true);
    }

    test('gets back what it sends', async () => {
      expect(await peer.dial(`${url}/echo`)).toMatchObject({ event: 'open' });
      for (const [, message] of messages) await expectEcho(message);
    });

    test('gets back what it sends compressed', async () => {
      expect(await peer.dial(`${url}/compressed`, { compress: true })).toMatchObject({
        event: 'open',
        compressed: true,
      });
      for (const [, message] of messages) await expectEcho(message);
    });

    test('does without compression where the server does not want it', async () => {
      const { event, compressed = false } = await peer.dial(`${url}/echo`, { compress: true });
      expect({ event, compressed }).toEqual({ event: 'open', compressed: false });
      await expectEcho('plain');
    });

    whereItCan('does without compression where it does not want it itself', async () => {
      const { event, compressed = false } = await peer.dial(`${url}/compressed`);
      expect({ event, compressed }).toEqual({ event: 'open', compressed: false });
      await expectEcho('plain');
    });

    whereItCan('gets back what it sends in fragments', async () => {
      await peer.dial(`${url}/echo`, { fragmentSize: 4096 });
      for (const [, message] of messages) if (message !== '') await expectEcho(message);

      await peer.dial(`${url}/few`, { fragmentSize: 4096 });
      await peer.send(Buffer.alloc(65536));
      expect(await peer.next()).toMatchObject({ event: 'close', code: 1008 });
    });

    test('agrees on the subprotocol that the server likes best', async () => {
      const subprotocols = ['v1.chat', 'v2.chat', 'v3.chat'];
      expect(await peer.dial(`${url}/chat`, { subprotocols })).toMatchObject({ event: 'open', subprotocol: 'v2.chat' });
      await expectEcho('in v2');
    });

    test.each([
      [1000, ''],
      [4321, 'bis später'],
    ])('closes with %i, and is answered the same', async (code, reason) => {
      ended = latch();
      await peer.dial(`${url}/closed`);
      await peer.close(code, reason);
      expect(await ended.promise).toEqual({ code, reason, wasClean: true });
      expect(await peer.next()).toMatchObject({ event: 'close', code });
    });

    test.each([
      [1000, 'done'],
      [1011, 'a fault'],
      [4000, 'à bientôt'],
    ])('sees that the server closes with %i', async (code, reason) => {
      await peer.dial(`${url}/close?${new URLSearchParams({ code: String(code), reason })}`);
      expect(await peer.next()).toMatchObject({ event: 'close', code, reason });
    });

    test('answers a ping', async () => {
      await peer.dial(`${url}/ping`);
      expect(messageOf(await peer.next())).toBe('pong are you there');
    });

    whereItCan('is answered when it pings', async () => {
      await peer.dial(`${url}/echo`);
      await peer.ping('anybody there');
      const answer = await peer.next();
      expect(answer.event).toBe('pong');
      expect(messageOf({ ...answer, kind: 'text' })).toBe('anybody there');
    });

    test('sees a refusal', async () => {
      const refused: Record<Client['shows'], Report> = {
        body: { event: 'refused', status: 403, body: 'This origin may not connect here.' },
        status: { event: 'refused', status: 403 },
        nothing: { event: 'refused' },
      };
      const order = full ? { origin: 'https://evil.example' } : {};
      const path = full ? '/echo' : '/nowhere';
      expect(await peer.dial(url + path, order)).toEqual(refused[shows]);
      if (full)
        expect(await peer.dial(`${url}/echo`, { origin: url.replace('ws', 'http') })).toMatchObject({ event: 'open' });
    });
  });
});
