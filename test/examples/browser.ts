import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Not on CI: there a missing browser fails. */
export const noBrowser = !existsSync(executablePath) && !process.env.CI;
if (noBrowser) {
  console.warn(`There is no Chromium at ${executablePath}, so pages are not tested; CHROMIUM names another.`);
}

const quiet = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath, args: quiet });
}

/** A person's browser tab, with storage of its own, and all that went wrong in it. */
export class Tab {
  readonly page: Page;
  /** Errors and warnings of the page; that a server cannot be reached is among them. */
  readonly complaints: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(10_000);
    page.on('console', (message) => this.complaints.push(message.text()));
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Tab> {
    const tab = new Tab(await browser.newPage(options));
    await tab.page.goto(url);
    return tab;
  }

  /** What the header says, once it says something like it. */
  async status(pattern: string | RegExp): Promise<string> {
    const status = this.page.getByRole('status').filter({ hasText: pattern });
    await status.waitFor();
    return ((await status.textContent()) ?? '').trim().replace(/\s+/g, ' ');
  }

  async press(button: string): Promise<void> {
    await this.page.getByRole('button', { name: button, exact: true }).click();
  }

  /** How much wider than the screen its content is, in pixels. */
  overhang(): Promise<number> {
    return this.page
      .locator('html')
      .evaluate((html: { scrollWidth: number; clientWidth: number }) => html.scrollWidth - html.clientWidth);
  }

  close(): Promise<void> {
    return this.page.close();
  }
}
