import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launch, noBrowser, Tab } from '../examples/browser.js';
import { Program } from '../examples/program.js';

/** The page of the example, as a person sees and uses it. */
class EchoPage {
  constructor(readonly tab: Tab) {}

  get page() {
    return this.tab.page;
  }

  /** The log, an entry a row: what happened, to what, and how much of it. */
  log(): Promise<string[][]> {
    return Promise.all(
      ['.kind', '.detail', '.measure'].map((column) => this.page.locator(`#log ${column}`).allInnerTexts()),
    ).then(([kinds = [], details = [], measures = []]) =>
      kinds.map((kind, row) => [kind, details[row] ?? '', measures[row] ?? '']),
    );
  }

  async status(): Promise<string> {
    const [state, explanation] = await this.page.getByRole('status').locator('> *').allInnerTexts();
    return `${state}: ${explanation}`;
  }

  /** Waits until an entry of this kind is in the log. */
  async seen(kind: string, times = 1): Promise<void> {
    await this.page
      .locator(`#log .${kind}`)
      .nth(times - 1)
      .waitFor();
  }

  press(button: 'Open' | 'Send' | 'Close'): Promise<void> {
    return this.tab.press(button);
  }

  async fill(field: string, value: string): Promise<void> {
    await this.page.getByRole('textbox', { name: field }).fill(value);
  }

  async open(): Promise<void> {
    await this.press('Open');
    await this.seen('opened');
  }

  focused(): Promise<string | null> {
    return this.page.locator(':focus').getAttribute('id');
  }
}

describe.skipIf(noBrowser)('the page of the echo example in Chromium', () => {
  let browser: Browser;
  let echo: EchoPage;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
  afterEach(() => echo.tab.close());

  function run(host = 'express'): Program {
    return Program.run('examples/echo/dist/server.js', ['--host', host], { PORT: '0' });
  }

  async function visit(url: string): Promise<void> {
    echo = new EchoPage(await Tab.open(browser, url));
  }

  describe.each(['express', 'fastify', 'http'])('on %s', (host) => {
    let url: string;
    let otherUrl: string;
    let server: string;

    beforeAll(async () => {
      [url, otherUrl] = await Promise.all([run(host).url(), run(host).url()]);
      server = `${url.replace('http', 'ws')}/echo`;
    });
    afterAll(() => Program.endAll());

    it('opens, echoes text and binary, and shows the close with code and reason', async () => {
      await visit(url);
      await echo.open();
      expect(await echo.status()).toBe(`Open: ${server}, subprotocol v1.echo.`);

      await echo.fill('Message', 'grüß Gott');
      await echo.press('Send');
      await echo.seen('received');
      await echo.page.getByRole('radio', { name: 'Binary' }).check();
      await echo.fill('Message', '00 ff 0A');
      await echo.press('Send');
      await echo.seen('received', 2);

      await echo.fill('Code', '4001');
      await echo.fill('Reason', 'supper is ready');
      await echo.press('Close');
      await echo.seen('closed');
      expect(await echo.log()).toEqual([
        ['opened', `${server}, subprotocol v1.echo`, ''],
        ['sent', 'grüß Gott', 'text, 11 bytes'],
        ['received', 'grüß Gott', 'text, 11 bytes'],
        ['sent', '00 ff 0a', 'binary, 3 bytes'],
        ['received', '00 ff 0a', 'binary, 3 bytes'],
        ['closed', 'by this page, code 4001, reason “supper is ready”', ''],
      ]);
      expect(await echo.status()).toBe('Closed: By this page, code 4001, reason “supper is ready”.');
      expect(echo.tab.complaints).toEqual([]);
    });

    it('is refused where it comes from another port, and says so', async () => {
      await visit(`${otherUrl}?url=${server}`);
      await echo.press('Open');
      await echo.seen('refused');
      expect(await echo.log()).toEqual([['refused', `${server}: closed before it opened (1006)`, '']]);
      expect(await echo.status()).toBe(
        `Refused: Closed before it opened: the server refused the handshake (for instance 403: this page's origin, ${otherUrl}, is not allowed). The browser does not tell scripts why; its developer tools do.`,
      );
      expect(echo.tab.complaints.join()).toMatch('Unexpected response code: 403');
    });
  });

  describe('whatever the host', () => {
    let url: string;

    beforeAll(async () => {
      url = await run().url();
    });
    afterAll(() => Program.endAll());

    it('says that a path without a WebSocket refuses', async () => {
      await visit(url);
      await echo.fill('Server', `${url.replace('http', 'ws')}/ohce`);
      await echo.press('Open');
      await echo.seen('refused');
      expect(await echo.status()).toMatch(
        'the server refused the handshake (for instance 404: no WebSocket lives at /ohce;',
      );
      expect(echo.tab.complaints.join()).toMatch('Unexpected response code: 404');
    });

    it('says who closed when the server drains, and that nothing answers when it has gone', async () => {
      const program = run();
      await visit(await program.url());
      await echo.open();
      program.signal('SIGINT');
      await echo.seen('closed');
      expect(await echo.status()).toBe('Closed: By the server, code 1001 (going away), no reason given.');
      expect((await program.ended()).code).toBe(0);

      await echo.press('Open');
      await echo.seen('refused');
      expect(await echo.status()).toMatch(/^Refused: Nothing answers at localhost:\d+\. Is the server running\?$/);
    });

    it('says that the connection was lost', async () => {
      const program = run();
      await visit(await program.url());
      await echo.open();
      program.signal('SIGKILL');
      await echo.seen('lost');
      expect(await echo.status()).toMatch(/^Lost: It ended without a closing handshake \(1006\)/);
    });

    it('needs no mouse', async () => {
      await visit(url);
      const { keyboard } = echo.page;
      await echo.page.getByRole('textbox', { name: 'Server' }).focus();
      await keyboard.press('Enter');
      await echo.seen('opened');
      expect(await echo.focused()).toBe('message');
      await keyboard.type('typed');
      await keyboard.press('Shift+Enter');
      await keyboard.type('twice');
      await keyboard.press('Enter');
      await echo.seen('received');
      await keyboard.type('again');
      await keyboard.press('Enter');
      await echo.seen('received', 2);
      await echo.page.getByRole('textbox', { name: 'Reason' }).focus();
      await keyboard.press('Enter');
      await echo.seen('closed');
      expect(await echo.page.locator(':focus').textContent()).toBe('Open');
      expect((await echo.log()).map(([kind, detail]) => `${kind} ${detail}`).slice(1)).toEqual([
        'sent typed\ntwice',
        'received typed\ntwice',
        'sent again',
        'received again',
        'closed by this page, code 1000 (normal closure), no reason given',
      ]);
    });

    it('sends nothing that is not whole bytes, nor closes with a code that a page may not send', async () => {
      await visit(url);
      await echo.open();
      await echo.page.getByRole('radio', { name: 'Binary' }).check();
      await echo.fill('Message', 'abc');
      await echo.press('Send');
      await echo.fill('Code', '1001');
      await echo.press('Close');
      expect((await echo.log()).map(([kind]) => kind)).toEqual(['opened']);
      await echo.fill('Code', '');
      await echo.press('Close');
      await echo.seen('closed');
      expect((await echo.log())[1]).toEqual(['closed', 'by this page, code 1005 (no code given), no reason given', '']);
    });

    it('says that a browser does not even try what is no WebSocket address', async () => {
      await visit(url);
      await echo.fill('Server', 'ftp://localhost/');
      await echo.press('Open');
      expect(await echo.status()).toMatch(/^Refused: The browser did not try: /);
      expect((await echo.log()).map(([kind]) => kind)).toEqual(['refused']);
    });

    it('fits a phone', async () => {
      await visit(url);
      await echo.page.setViewportSize({ width: 360, height: 740 });
      await echo.open();
      await echo.press('Send');
      await echo.seen('received');
      expect(await echo.tab.overhang()).toBe(0);
    });

    it('keeps a long log in its place, the newest in sight', async () => {
      await visit(url);
      const height = await echo.page.locator('main').evaluate((main: { clientHeight: number }) => main.clientHeight);
      await echo.open();
      await echo.fill('Message', 'a line\n'.repeat(9));
      for (let count = 1; count <= 5; count++) {
        await echo.press('Send');
        await echo.seen('received', count);
      }
      expect(await echo.page.locator('main').evaluate((main: { clientHeight: number }) => main.clientHeight)).toBe(
        height,
      );
      const log = echo.page.locator('#log');
      const below = await log.evaluate(
        (list: { scrollHeight: number; scrollTop: number; clientHeight: number }) =>
          list.scrollHeight - list.scrollTop - list.clientHeight,
      );
      expect(below).toBeLessThan(8);
    });
  });
});
