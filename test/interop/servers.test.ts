import { once } from 'node:events';
import { type Connection, type DialOptions, dial, type HandshakeRefused } from '@drawbridge/core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { failure } from '../dial/servers.js';
import { certificateFiles } from './certificate.js';
import { messages, Peer, same } from './peer.js';
import { type Command, gorilla, python } from './programs.js';

interface ForeignServer {
  readonly name: string;
  readonly command: Command | undefined;
  /** What it says to a foreign Origin, beside 403. */
  readonly refusal: RegExp;
}

const servers: ForeignServer[] = [
  { name: "Go's gorilla/websocket", command: await gorilla(), refusal: /^Forbidden\n$/ },
  { name: "Python's websockets", command: await python(), refusal: /invalid Origin header/ },
];

const { ca, cert, key } = await certificateFiles();

describe.each(servers)('$name as a server', ({ command, refusal }) => {
  describe.skipIf(!command).each([{ scheme: 'ws' }, { scheme: 'wss' }])('dialled over $scheme', ({ scheme }) => {
    let peer: Peer;
    let url: string;

    beforeAll(async () => {
      peer = new Peer(command as Command, 'serve', ...(scheme === 'wss' ? [cert, key] : []));
      const { port } = await peer.report();
      url = `${scheme}://127.0.0.1:${port}`;
    });
    afterAll(() => peer.stop());

    async function open(path: string, options: DialOptions = {}): Promise<Connection> {
      const socket = await dial(url + path, { ca, ...options });
      onTestFinished(() => socket.terminate());
      return socket;
    }

    async function expectEcho(socket: Connection, message: string | Buffer): Promise<void> {
      socket.send(message);
      expect(same(await socket.receive({ timeout: 10_000 }), message)).toBe(true);
    }

    test('gives back what it is sent', async () => {
      const socket = await open('/echo');
      expect(socket.extensions).toBe('');
      for (const [, message] of messages) await expectEcho(socket, message);
    });

    test('gives back what it is sent compressed', async () => {
      const socket = await open('/echo', { perMessageDeflate: { threshold: 0 } });
      expect(socket.extensions).toBe('permessage-deflate');
      for (const [, message] of messages) await expectEcho(socket, message);
    });

    test('gives back in fragments what it is sent', async () => {
      const socket = await open('/fragments', { maxFragments: 4096 });
      for (const [, message] of messages) if (message !== '') await expectEcho(socket, message);

      const strict = await open('/fragments', { maxFragments: 8 });
      strict.send(Buffer.alloc(65536));
      expect(await strict.closed).toMatchObject({ code: 1006 });
    });

    test('gives back what it is sent in fragments', async () => {
      const socket = await open('/echo');
      for (const [index, part] of ['frag', 'men', 'ted'].entries()) socket.send(part, { fin: index === 2 });
      expect(await socket.receive()).toBe('fragmented');
    });

    test('is heard from its first message on, right behind its 101', async () => {
      const greetings = await Promise.all(
        Array.from({ length: 20 }, async () => (await open('/greeting')).receive({ timeout: 10_000 })),
      );
      expect(greetings).toEqual(Array(20).fill('welcome'));
    });

    test('agrees on a subprotocol, or does not', async () => {
      const socket = await open('/echo', { subprotocols: ['v2.chat', 'v1.chat', 'v0.chat'] });
      expect(socket.protocol).toBe('v2.chat');
      expect((await failure(open('/echo', { subprotocols: ['v0.chat'] }))).code).toBe('INVALID_HANDSHAKE');
    });

    test.each([
      [1000, ''],
      [4321, 'bis später'],
    ])('is told that it is closed with %i', async (code, reason) => {
      const socket = await open('/closed');
      socket.close(code, reason);
      expect(await peer.report()).toMatchObject({ event: 'close', code });
      expect(await socket.closed).toMatchObject({ code, wasClean: true });
    });

    test.each([
      [1000, 'done'],
      [1011, 'a fault'],
      [4000, 'à bientôt'],
    ])('tells that it closes with %i', async (code, reason) => {
      const socket = await open(`/close?${new URLSearchParams({ code: String(code), reason })}`);
      expect(await socket.closed).toEqual({ code, reason, wasClean: true });
    });

    test('is answered when it pings, and answers', async () => {
      const socket = await open('/ping');
      expect(await socket.receive({ timeout: 10_000 })).toBe('pong are you there');
      socket.ping('anybody there');
      expect(String(await once(socket, 'pong'))).toBe('anybody there');
    });

    test('refuses a foreign Origin with 403, and says why', async () => {
      const error = await failure<HandshakeRefused>(open('/echo', { origin: 'https://evil.example' }));
      expect(error).toMatchObject({ code: 'HANDSHAKE_REFUSED', status: 403, truncated: false });
      expect(error.body).toMatch(refusal);
    });
  });
});
