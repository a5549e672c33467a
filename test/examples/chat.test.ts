import { once } from 'node:events';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { launch, noBrowser, Tab } from './browser.js';
import { Program } from './program.js';

const chat = (port = '0') => Program.run('examples/chat/dist/server.js', [], { PORT: port });

interface RoomEvent {
  type: string;
  you: string;
  name: string;
  text: string;
  here: string[];
  history: { name: string; text: string }[];
}

/** Somebody in a room, without a page. */
class Guest {
  readonly socket: WebSocket;
  readonly #heard: RoomEvent[] = [];
  #wake = (): void => {};

  constructor(url: string, path: string) {
    this.socket = new WebSocket(url.replace('http', 'ws') + path);
    this.socket.on('message', (data) => {
      this.#heard.push(JSON.parse(String(data)));
      this.#wake();
    });
  }

  static async enter(url: string, room: string, name: string): Promise<Guest> {
    const guest = new Guest(url, `/rooms/${room}?name=${name}`);
    await guest.hears(({ type }) => type === 'welcome');
    return guest;
  }

  say(text: string): void {
    this.socket.send(text);
  }

  /** The next event that is like this; those before it are forgotten. */
  async hears(like: (event: RoomEvent) => boolean): Promise<RoomEvent> {
    for (;;) {
      const event = this.#heard.shift();
      if (event && like(event)) return event;
      if (event) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

describe('a room of the chat example', () => {
  let url: string;
  let room: string;
  let rooms = 0;

  beforeAll(async () => {
    url = await chat().url();
  });
  beforeEach(() => {
    room = `room-${++rooms}`;
  });
  afterAll(() => Program.endAll());

  it('tells who comes later the last 50 messages and who is here, and everybody who leaves', async () => {
    const ada = await Guest.enter(url, room, 'Ada');
    for (let number = 1; number <= 60; number++) ada.say(String(number));
    await ada.hears(({ text }) => text === '60');

    const grace = new Guest(url, `/rooms/${room}?name=Grace`);
    const { you, here, history } = await grace.hears(({ type }) => type === 'welcome');
    expect([you, here]).toEqual(['Grace', ['Ada', 'Grace']]);
    expect(history.map(({ text }) => text)).toEqual(Array.from({ length: 50 }, (_, index) => String(index + 11)));

    grace.socket.terminate();
    expect((await ada.hears(({ type }) => type === 'left')).here).toEqual(['Ada']);
  });

  it('keeps to itself', async () => {
    const here = await Guest.enter(url, room, 'Ada');
    const elsewhere = await Guest.enter(url, `${room}-next`, 'Grace');
    here.say('in this room');
    elsewhere.say('in the next');
    expect((await elsewhere.hears(({ type }) => type === 'said')).text).toBe('in the next');
  });

  it('tells two of one name apart', async () => {
    await Guest.enter(url, room, 'Ada');
    const other = new Guest(url, `/rooms/${room}?name=Ada`);
    expect(await other.hears(({ type }) => type === 'welcome')).toMatchObject({ you: 'Ada 2', here: ['Ada', 'Ada 2'] });
  });

  it.each([
    ['?name=', 4400, 'A name has 1 to 20 letters.'],
    ['', 4400, 'A name has 1 to 20 letters.'],
    ['?name=%3Cb%3E', 4400, 'A name has 1 to 20 letters.'],
    ['%20x?name=Ada', 4404, 'No room has such a name.'],
  ])('lets nobody in by the path %j', async (path, code, reason) => {
    const { socket } = new Guest(url, `/rooms/${room}${path}`);
    const [closedWith, why] = await once(socket, 'close');
    expect([closedWith, String(why)]).toEqual([code, reason]);
  });

  it('is not held up by a slow reader, who has to leave', async () => {
    const [speaker, listener, slow] = await Promise.all(
      ['Ada', 'Grace', 'Slow'].map((name) => Guest.enter(url, room, name)),
    );
    if (!speaker || !listener || !slow) throw new Error('They should be in.');
    slow.socket.pause();

    // More than the kernel's buffers hold; the others hear each hundred before the next is said.
    for (let said = 100; said <= 5_000; said += 100) {
      for (let word = 0; word < 100; word++) speaker.say('x'.repeat(4_000));
      speaker.say(`${said}`);
      await Promise.all([speaker, listener].map((guest) => guest.hears(({ text }) => text === `${said}`)));
    }

    const closed = once(slow.socket, 'close');
    slow.socket.resume();
    expect((await closed)[0]).toBe(1013);
    expect((await listener.hears(({ type }) => type === 'left')).here).toEqual(['Ada', 'Grace']);
  });
});

describe.skipIf(noBrowser)('the page of the chat example in Chromium', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser?.close());
  afterEach(() => Program.endAll());

  async function enter(url: string, name: string): Promise<Tab> {
    const tab = await Tab.open(browser, url);
    await tab.page.keyboard.type(name);
    await tab.page.keyboard.press('Enter');
    await tab.status(`You are ${name}`);
    return tab;
  }

  const say = async ({ page }: Tab, words: string) => {
    await page.getByLabel('Say', { exact: true }).and(page.getByRole('textbox')).fill(words);
    await page.keyboard.press('Enter');
  };
  const heard = async ({ page }: Tab, words: string) => {
    await page.locator('#log li', { hasText: words }).waitFor();
    return page.locator('#log .text').allInnerTexts();
  };
  const here = ({ page }: Tab) => page.locator('#here li').allInnerTexts();

  it('is a room for three tabs', async () => {
    const url = `${await chat().url()}/rooms/kitchen`;
    const ada = await enter(url, 'Ada');
    const grace = await enter(url, 'Grace');
    await say(ada, 'Is the bridge down?');
    await heard(grace, 'Is the bridge down?');
    await say(grace, '<b>It is</b>');

    const linus = await enter(url, 'Linus');
    expect(await heard(linus, 'Linus came in.')).toEqual(['Is the bridge down?', '<b>It is</b>', 'Linus came in.']);
    expect(await here(linus)).toEqual(['Ada', 'Grace', 'Linus']);
    await say(linus, 'Coming.');
    for (const tab of [ada, grace, linus]) await heard(tab, 'Coming.');

    await grace.close();
    expect(await heard(ada, 'Grace left.')).toEqual([
      'Ada came in.',
      'Grace came in.',
      'Is the bridge down?',
      '<b>It is</b>',
      'Linus came in.',
      'Coming.',
      'Grace left.',
    ]);
    expect(await here(ada)).toEqual(['Ada', 'Linus']);
    expect([...ada.complaints, ...linus.complaints]).toEqual([]);
  });

  it('says why a name is not let in, and lets one leave', async () => {
    const tab = await Tab.open(browser, await chat().url());
    await tab.page.keyboard.type('=:-)');
    await tab.page.keyboard.press('Enter');
    expect(await tab.status('letters')).toBe('Closed A name has 1 to 20 letters.');
    await tab.page.getByLabel('Your name').fill('Ada');
    await tab.press('Enter');
    await tab.status('You are Ada, in lobby.');
    await tab.press('Leave');
    expect(await tab.status('Closed')).toBe('Closed You left. Say who you are, and enter a room.');
  });

  it('says that the connection was lost, keeps what was typed, and comes back by itself', async () => {
    const program = chat();
    const url = await program.url();
    const ada = await enter(url, 'Ada');
    program.signal('SIGKILL');
    expect(await ada.status('Lost')).toMatch('The connection broke off');
    await say(ada, 'Anybody here?');
    await program.ended();

    await chat(new URL(url).port).url();
    await ada.status('You are Ada');
    await ada.page.keyboard.press('Enter');
    await heard(ada, 'Anybody here?');
  });

  it('fits a phone', async () => {
    const tab = await Tab.open(browser, await chat().url(), { viewport: { width: 360, height: 640 } });
    expect(await tab.overhang()).toBe(0);
    await tab.page.getByLabel('Your name').fill('Ada');
    await tab.press('Enter');
    await tab.status('You are Ada');
    await say(tab, 'a-very-long-word'.repeat(20));
    await heard(tab, 'a-very-long-word');
    expect(await tab.overhang()).toBe(0);
  });
});
