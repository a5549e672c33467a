import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { dial } from '@drawbridge/core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launch, noBrowser, Tab } from './browser.js';
import { Program } from './program.js';

const byHand = () => Program.run('examples/by-hand/dist/server.js', [], { PORT: '0' });

describe('the by-hand example', () => {
  let url: string;

  beforeAll(async () => {
    url = await byHand().url();
  });
  afterAll(() => Program.endAll());

  it("answers the RFC's own key as the RFC does, whatever pieces the bytes come in", async () => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).setNoDelay();
    const request = `GET / HTTP/1.1\r\nHost: ${hostname}\r\nUPGRADE: WebSocket\r\nSec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
    const answer = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      '\r\n',
    ].join('\r\n');
    const hello = Buffer.from('818537fa213d7f9f4d5158', 'hex'); // RFC 6455 section 5.7
    const goodbye = Buffer.from('888237fa213d3412', 'hex');
    for (const byte of Buffer.concat([Buffer.from(request), hello, goodbye])) {
      await new Promise((written) => socket.write(Buffer.of(byte), written));
    }

    const handshake = Buffer.from(request + answer);
    expect(await buffer(socket)).toEqual(
      Buffer.concat([
        Buffer.from(answer),
        Buffer.from([0x81, 126, handshake.length >> 8, handshake.length & 0xff]),
        handshake,
        Buffer.from([0x81, 28]),
        Buffer.from('818537fa213d7f9f4d5158 Hello'),
        Buffer.from([0x88, 2, 0x03, 0xe8]),
      ]),
    );
  });

  it.each([
    ['short', 'x'.repeat(125), '81fd'],
    ['long', 'x'.repeat(126), '81fe007e'],
    ['longer', 'grüß'.repeat(3_000), '81fe4650'],
  ])('understands a %s text of a client that knows the whole RFC', async (_, text, start) => {
    const socket = await dial(url);
    const [request, answer, rest] = String(await socket.receive()).split('\r\n\r\n');
    expect([request, answer, rest]).toEqual([
      expect.stringMatching(/^GET \/ HTTP\/1.1\r\n/),
      expect.stringMatching(/^HTTP\/1.1 101 /),
      '',
    ]);
    socket.send(text);
    const [wire, contents] = String(await socket.receive()).split(' ');
    expect(wire).toMatch(new RegExp(`^${start}`));
    expect(contents).toBe(text);
    socket.close(4000, 'enough');
    expect(await socket.closed).toEqual({ code: 4000, reason: 'enough', wasClean: true });
  });

  it('says goodbye to what it does not know', async () => {
    const binary = await dial(url);
    binary.send(Buffer.of(1));
    expect((await binary.closed).code).toBe(1003);
    const huge = await dial(url);
    huge.send('x'.repeat(70_000));
    expect((await huge.closed).code).toBe(1009);
    const large = await dial(url);
    large.send('x'.repeat(20_001));
    expect((await large.closed).code).toBe(1009);
  });

  it('serves a page, and nothing that is not of it', async () => {
    expect(await (await fetch(url)).text()).toContain('<title>Drawbridge by hand</title>');
    expect((await fetch(`${url}/../server.js`)).status).toBe(404);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.resume().write('nonsense\r\n\r\n');
    await once(socket, 'end');
  });
});

describe.skipIf(noBrowser)('the page of the by-hand example in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await Program.endAll();
  });

  it('shows the handshake and each frame, and comes back by itself', async () => {
    const program = byHand();
    const url = await program.url();
    const { page, ...tab } = await Tab.open(browser, url);
    await page.locator('#request mark', { hasText: 'Sec-WebSocket-Key: ' }).waitFor();
    await page.locator('#answer mark', { hasText: 'Sec-WebSocket-Accept: ' }).waitFor();
    await page.getByLabel('Text').focus();
    await page.keyboard.press('Enter');
    const frame = page.locator('#frames li', { hasText: 'hello' });
    await frame.waitFor();
    expect(await frame.textContent()).toMatch(/^81 85( [\da-f]{2}){9}hello$/);
    expect(tab.complaints).toEqual([]);

    program.signal('SIGINT');
    await page.getByRole('status').filter({ hasText: 'shutting down' }).waitFor();
    expect((await program.ended()).code).toBe(0);
    const again = Program.run('examples/by-hand/dist/server.js', ['--port', new URL(url).port]);
    await again.url();
    await page.getByRole('status').filter({ hasText: 'Open' }).waitFor();
  });
});
