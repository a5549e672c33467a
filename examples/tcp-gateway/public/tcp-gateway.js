import { Bridge, show } from './bridge.js';
import { encodeCommand, format, ReplyReader } from './resp.js';

const element = (id) => document.getElementById(id);
const screen = element('screen');
const line = element('line');
const MOST_PIECES = 2_000;
const END = 'end';

/** What to do with what is typed, and with the bytes that come. */
const protocols = {
  redis() {
    const reader = new ReplyReader();
    return {
      encode: encodeCommand,
      read(bytes) {
        for (const reply of reader.read(bytes)) print(reply.type === 'error' ? 'em' : 'span', `${format(reply)}\n`);
      },
    };
  },
  lines() {
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    return {
      encode: (typed) => encoder.encode(`${typed}\n`),
      read: (bytes) => print('span', decoder.decode(bytes, { stream: true })),
    };
  },
};

let protocol;

const bridge = new Bridge(() => `/tcp/${element('address').value}`, {
  onOpen() {
    protocol = protocols[element('protocol').value]();
    const { value } = element('address');
    element('peer').textContent = value;
    setTalking(true);
    line.focus();
    return `Bytes go to ${value}, and come from there.`;
  },
  onMessage(data) {
    if (data === END) return hearNoMore();
    try {
      protocol.read(new Uint8Array(data));
    } catch (error) {
      bridge.close(error.message);
      setTalking(false);
    }
  },
  onEnd({ code, reason }) {
    setTalking(false);
    if (code === 1000) return reason;
  },
});

function hearNoMore() {
  print('i', 'The server says no more.\n');
  show('open', 'The server has ended; this page may still speak.');
}

function setTalking(talking) {
  line.disabled = !talking;
  element('end').disabled = !talking;
}

function print(tag, text) {
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
  const piece = document.createElement(tag);
  piece.textContent = text;
  screen.append(piece);
  if (screen.childElementCount > MOST_PIECES) screen.firstElementChild.remove();
  if (atEnd) screen.scrollTop = screen.scrollHeight;
}

// What the person does

const history = [];
let recalled = 0;

element('target').addEventListener('submit', (event) => {
  event.preventDefault();
  screen.replaceChildren();
  bridge.open();
});

element('address').addEventListener('change', chooseProtocol);

function chooseProtocol() {
  element('protocol').value = element('address').value.endsWith(':7007') ? 'lines' : 'redis';
}

element('prompt').addEventListener('submit', (event) => {
  event.preventDefault();
  const typed = line.value;
  if (!bridge.send(protocol.encode(typed))) return;
  print('b', `${typed}\n`);
  if (typed && typed !== history.at(-1)) history.push(typed);
  recalled = history.length;
  line.value = '';
});

line.addEventListener('keydown', (event) => {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!step || recalled + step < 0 || recalled + step > history.length) return;
  event.preventDefault();
  recalled += step;
  line.value = history[recalled] ?? '';
});

element('end').addEventListener('click', () => {
  if (!bridge.send(END)) return;
  setTalking(false);
  print('i', 'This page says no more.\n');
});

// Which servers there are

const targets = await (await fetch('targets')).json();
element('address').replaceChildren(...targets.map((target) => new Option(target)));
chooseProtocol();
setTalking(false);
bridge.open();
