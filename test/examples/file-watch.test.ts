import { appendFile, mkdtemp, open, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, dial } from '@drawbridge/core';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { launch, noBrowser, Tab } from './browser.js';
import { Program } from './program.js';

const fileWatch = (args: string[], port = '0') =>
  Program.run('examples/file-watch/dist/server.js', args, { PORT: port });

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'file-watch-'));
  file = join(folder, 'notes.txt');
  await writeFile(file, 'one\n');
});
afterEach(async () => {
  await Program.endAll();
  await rm(folder, { recursive: true });
});

interface Snapshot {
  name: string;
  version: string;
  text: string;
  size: number;
}

const next = (socket: Connection) => socket.receiveJSON<Snapshot>({ timeout: 5_000 });
const connect = (url: string, version = '') => dial(`${url.replace('http', 'ws')}/file?version=${version}`);

describe('the file-watch example', () => {
  it('sends the file, and again whenever something else is in it, however it came there', async () => {
    const socket = await connect(await fileWatch([file]).url());
    expect(await next(socket)).toMatchObject({ name: 'notes.txt', text: 'one\n', size: 4 });

    await appendFile(file, 'two\n');
    expect((await next(socket)).text).toBe('one\ntwo\n');

    await writeFile(`${file}.new`, 'an editor that replaces the file\n');
    await rename(`${file}.new`, file);
    expect((await next(socket)).text).toBe('an editor that replaces the file\n');

    await rm(file);
    expect((await next(socket)).text).toBeUndefined();
    await writeFile(file, 'back');
    expect((await next(socket)).text).toBe('back');
  });

  it('sends nothing when it was only touched, or written again as it was', async () => {
    const socket = await connect(await fileWatch([file]).url());
    await next(socket);
    await utimes(file, new Date(), new Date());
    await writeFile(file, 'one\n');
    await writeFile(`${file}.same`, 'one\n');
    await rename(`${file}.same`, file);
    await expect(socket.receive({ timeout: 500 })).rejects.toMatchObject({ code: 'RECEIVE_TIMEOUT' });
    await writeFile(file, 'two\n');
    expect((await next(socket)).text).toBe('two\n');
  });

  it('sends no half of what is being written', async () => {
    const socket = await connect(await fileWatch([file]).url());
    await next(socket);
    const handle = await open(file, 'w');
    for (const word of ['half ', 'of ', 'it\n']) await handle.write(word);
    await handle.close();
    expect((await next(socket)).text).toBe('half of it\n');
  });

  it('sends nothing to a page that comes back and has it already', async () => {
    const url = await fileWatch([file]).url();
    const { version } = await next(await connect(url));
    const back = await connect(url, version);
    await writeFile(file, 'two\n');
    expect((await next(back)).text).toBe('two\n');
    expect(await next(await connect(url, version))).toMatchObject({ text: 'two\n' });
  });

  it('spares a slow reader the versions in between, not the last one', async () => {
    const socket = await connect(await fileWatch([file]).url());
    await next(socket);
    socket.pause();
    const big = 'x'.repeat(250 * 1024);
    const watcher = await connect(await fileWatch([file]).url());
    await next(watcher);
    for (let version = 1; version <= 32; version++) {
      await writeFile(file, `${version}\n${big}`);
      await next(watcher);
    }
    socket.resume();
    const seen: number[] = [];
    while (seen.at(-1) !== 32) seen.push(Number.parseInt((await next(socket)).text, 10));
    expect(seen.length).toBeLessThan(32);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('shows 256 KiB of a longer file', async () => {
    await writeFile(file, 'x'.repeat(300 * 1024));
    const { text, size } = await next(await connect(await fileWatch([file]).url()));
    expect([text.length, size]).toEqual([256 * 1024, 300 * 1024]);
  });

  it('shows its own README if no file is named', async () => {
    const { name, text } = await next(await connect(await fileWatch([]).url()));
    expect([name, text]).toEqual(['README.md', await readFile('examples/file-watch/README.md', 'utf8')]);
  });

  it.each([
    [() => [join(folder, 'none')], /^There is nothing to show: ENOENT: .*none'\.\n$/],
    [() => [folder], /^There is nothing to show: EISDIR: .*\.\n$/],
    [() => [file, file], /^One file at a time, please\.\n$/],
  ])('says in one sentence what is wrong with its arguments (%#)', async (args, sentence) => {
    const { code, stderr } = await fileWatch(args()).ended();
    expect([code, stderr]).toEqual([1, expect.stringMatching(sentence)]);
  });

  it('ends on Ctrl-C, whoever watches', async () => {
    const program = fileWatch([file]);
    const socket = await connect(await program.url());
    program.signal('SIGINT');
    expect((await socket.closed).code).toBe(1001);
    expect(await program.ended()).toMatchObject({ code: 0, stderr: '' });
  });
});

describe.skipIf(noBrowser)('the page of the file-watch example in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());

  it('shows the file, marks what has changed, and comes back by itself', async () => {
    const program = fileWatch([file]);
    const url = await program.url();
    const tab = await Tab.open(browser, url, { viewport: { width: 360, height: 640 } });
    const lines = tab.page.locator('#text span');
    await tab.status('notes.txt is shown as it is now.');
    expect(await lines.allTextContents()).toEqual(['one']);

    await writeFile(file, 'one\n<b>two</b>\n');
    await tab.page.locator('.changed').waitFor();
    expect(await lines.allTextContents()).toEqual(['one', '<b>two</b>']);
    await writeFile(file, `zero ${'-'.repeat(300)}\none\n<b>two</b>\n`);
    await tab.page.locator('.changed', { hasText: 'zero' }).waitFor();
    expect(await tab.page.locator('.changed').count()).toBe(1);
    expect([await tab.overhang(), tab.complaints]).toEqual([0, []]);

    program.signal('SIGKILL');
    await tab.status('This page comes back by itself.');
    await program.ended();
    await writeFile(file, 'later\n');
    await fileWatch([file], new URL(url).port).url();
    await tab.page.locator('.changed', { hasText: 'later' }).waitFor();
    await rm(file);
    await tab.page.getByText('There is no such file any more.').waitFor();
  });
});
