import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';
import { type Connection, dial } from '@drawbridge/core';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launch, noBrowser, Tab } from './browser.js';
import { Program } from './program.js';

const script = 'examples/udp-feed/dist/server.js';
const PIECES = 720;

const feed = (port = '0') => Program.run(script, [], { PORT: port });

async function addresses(): Promise<{ url: string; udpPort: number }> {
  const line = await feed().line();
  const url = /http:\/\/\S+/.exec(line)?.[0] as string;
  return { url, udpPort: Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]) };
}

/** Pieces as they come, until `count` have or there is silence. */
class Pieces {
  readonly numbers: number[] = [];
  readonly lengths = new Set<number>();
  readonly pixels = Buffer.alloc(PIECES * 508);

  add(piece: Buffer): boolean {
    this.numbers.push(piece.readUInt16BE(0));
    this.lengths.add(piece.length);
    expect(piece.readUInt16BE(2)).toBe(PIECES);
    piece.copy(this.pixels, piece.readUInt16BE(0) * 508, 4);
    return this.numbers.length === PIECES;
  }

  get overtaken(): number {
    return this.numbers.filter((number, index) => number < Math.max(...this.numbers.slice(0, index))).length;
  }

  static async fromWebSocket(socket: Connection): Promise<Pieces> {
    const pieces = new Pieces();
    for await (const message of socket) if (pieces.add(message as Buffer)) break;
    return pieces;
  }

  static async fromUdp(port: number, order: string): Promise<Pieces> {
    const pieces = new Pieces();
    const socket = createSocket('udp4');
    socket.send(order, port, '127.0.0.1');
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), 5_000);
    try {
      for await (const [piece] of on(socket, 'message', { signal: silence.signal })) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), 500);
        if (pieces.add(piece)) break;
      }
    } catch (error) {
      if (!silence.signal.aborted) throw error;
    }
    clearTimeout(timer);
    socket.close();
    return pieces;
  }
}

const inOrder = Array.from({ length: PIECES }, (_, number) => number);

describe('the udp-feed example', () => {
  let url: string;
  let udpPort: number;
  let connect: (path: string) => Promise<Connection>;

  beforeAll(async () => {
    ({ url, udpPort } = await addresses());
    connect = (path) => dial(url.replace('http', 'ws') + path);
  });
  afterAll(() => Program.endAll());

  it('sends back a datagram as it is, over UDP and for a page', async () => {
    const socket = createSocket('udp4');
    for (const message of ['hello', 'pictures', 'picture 100', '']) {
      socket.send(message, udpPort, '127.0.0.1');
      expect(String((await once(socket, 'message'))[0])).toBe(message);
    }
    socket.close();

    const page = await connect('/udp');
    page.send('grüß Gott');
    expect(await page.receive()).toEqual(Buffer.from('grüß Gott'));
  });

  it('brings the same picture over UDP, in datagrams of 512 bytes, and over WebSocket, in order', async () => {
    const page = await connect('/websocket');
    page.send('picture');
    const websocket = await Pieces.fromWebSocket(page);
    let udp = await Pieces.fromUdp(udpPort, 'picture\n');
    // A busy machine may lose some by itself.
    for (let again = 0; again < 5 && udp.numbers.length < PIECES; again++)
      udp = await Pieces.fromUdp(udpPort, 'picture');
    expect(udp.lengths).toEqual(new Set([512]));
    expect([...udp.numbers].sort((one, other) => one - other)).toEqual(inOrder);
    expect(websocket.numbers).toEqual(inOrder);
    expect(udp.pixels.equals(websocket.pixels)).toBe(true);
    expect(new Set(websocket.pixels).size).toBeGreaterThan(100); // it is no blank
  });

  it('loses a share of the datagrams on purpose, and as many come late', async () => {
    const { numbers, overtaken } = await Pieces.fromUdp(udpPort, 'picture 20');
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const share of [PIECES - numbers.length, overtaken]) {
      expect(share).toBeGreaterThan(0.1 * PIECES);
      expect(share).toBeLessThan(0.3 * PIECES);
    }
  });

  it('says which port is none', async () => {
    const taken = Program.run(script, ['--port', '0', '--udp-port', String(udpPort)]);
    const { code, stderr } = await taken.ended();
    expect([code, stderr]).toEqual([1, `There is no UDP at port ${udpPort}: bind EADDRINUSE 127.0.0.1:${udpPort}.\n`]);
  });

  it('ends on Ctrl-C in the middle of a picture', async () => {
    const program = feed();
    const server = (await program.url()).replace('http', 'ws');
    const sockets = await Promise.all(['/udp', '/websocket'].map((path) => dial(server + path)));
    for (const socket of sockets) {
      socket.send('picture');
      await socket.receive();
    }
    program.signal('SIGINT');
    for (const socket of sockets) expect((await socket.closed).code).toBe(1001);
    expect(await program.ended()).toMatchObject({ code: 0, stderr: '' });
  });
});

describe.skipIf(noBrowser)('the page of the udp-feed example in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterEach(() => Program.endAll());
  afterAll(() => browser?.close());

  const counts = ({ page }: Tab, lane: string) => page.locator(`#${lane} dd`).allTextContents();
  const picture = ({ page }: Tab, lane: string) =>
    page.locator(`#${lane} canvas`).evaluate((canvas: { toDataURL(): string }) => canvas.toDataURL());

  it('shows the difference', async () => {
    const program = feed();
    const url = await program.url();
    const tab = await Tab.open(browser, url, { viewport: { width: 360, height: 740 } });
    await tab.status('Both have brought what they could.');
    expect(await counts(tab, 'websocket')).toEqual(['720 of 720', '0', '0']);
    const [came, lost, disorder] = (await counts(tab, 'udp')).map((text) => Number.parseInt(text, 10));
    expect([lost, disorder]).toEqual([720 - Number(came), expect.any(Number)]);
    expect(lost).toBeGreaterThan(0);
    expect(disorder).toBeGreaterThan(0);
    const whole = await picture(tab, 'websocket');
    expect(await picture(tab, 'udp')).not.toBe(whole);

    await tab.page.getByLabel('Lost on purpose').focus();
    await tab.page.keyboard.press('Home');
    await tab.page.keyboard.press('Tab');
    await tab.page.keyboard.press('Enter');
    await tab.status('on its way');
    await tab.status('Both have brought what they could.');
    expect(await counts(tab, 'udp')).toEqual(['720 of 720', '0', '0']);
    expect([await picture(tab, 'udp'), await picture(tab, 'websocket')]).toEqual([whole, whole]);
    expect([await tab.overhang(), ...tab.complaints]).toEqual([0]);

    program.signal('SIGKILL');
    await tab.status('This page comes back by itself.');
    await program.ended();
    await feed(new URL(url).port).url();
    await tab.status('on its way');
  });
});
