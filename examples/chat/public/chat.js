import { Bridge, show } from './bridge.js';

const element = (id) => document.getElementById(id);
const button = (form) => element(form).querySelector('button[type=submit]');
const log = element('log');
const LONGEST_LOG = 500;

let name = '';
let room = /^\/rooms\/([\w-]+)$/.exec(location.pathname)?.[1] ?? 'lobby';

const bridge = new Bridge(() => `/rooms/${room}?name=${encodeURIComponent(name)}`, {
  onOpen: () => `You are in ${room}.`,
  onMessage: (data) => {
    const { type, ...event } = JSON.parse(data);
    happenings[type](event);
  },
  onEnd({ code, reason }) {
    button('say').disabled = true;
    if (code < 4400 || code >= 4500) return;
    away();
    return reason; // coming back would not change it
  },
});

const happenings = {
  welcome({ you, here, history }) {
    log.replaceChildren();
    for (const said of history) happenings.said(said);
    showHere(here, you);
    show('open', `You are ${you}, in ${room}.`);
    button('say').disabled = false;
    element('words').focus();
  },
  joined({ name, here }) {
    note(`${name} came in.`);
    showHere(here);
  },
  left({ name, here }) {
    note(`${name} left.`);
    showHere(here);
  },
  said({ name, text, at }) {
    const author = part('span', 'name', name);
    author.style.setProperty('--hue', hue(name));
    add(at, author, part('span', 'text', text));
  },
};

function note(text) {
  add(Date.now(), part('span', 'text', text)).className = 'notice';
}

function add(at, ...parts) {
  const date = new Date(at);
  const time = part('time', '', date.toLocaleTimeString('en-GB', { timeStyle: 'short' }));
  time.dateTime = date.toISOString();
  const entry = document.createElement('li');
  entry.append(...parts, time);

  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(entry);
  if (log.childElementCount > LONGEST_LOG) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
  return entry;
}

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

let you = '';
function showHere(here, me = you) {
  you = me;
  element('here-title').textContent = `Here: ${here.length}`;
  element('here').replaceChildren(
    ...here.map((name) => {
      const entry = part('li', name === you ? 'you' : '', name);
      entry.style.setProperty('--hue', hue(name));
      return entry;
    }),
  );
}

/** Everybody's own colour, the same on every page. */
function hue(name) {
  return Array.from(name).reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}

// Coming in and going away

function enter() {
  sessionStorage.name = name;
  history.replaceState(null, '', `/rooms/${room}`);
  document.title = `${room} · Drawbridge chat`;
  element('talk-title').textContent = room;
  element('entrance').hidden = true;
  element('hall').hidden = false;
  button('say').disabled = true;
  bridge.open();
}

function away() {
  sessionStorage.removeItem('name');
  element('entrance').hidden = false;
  element('hall').hidden = true;
  element('name').focus();
}

element('entrance').addEventListener('submit', (event) => {
  event.preventDefault();
  name = element('name').value.trim();
  room = element('room').value;
  enter();
});

element('leave').addEventListener('click', () => {
  bridge.close('You left. Say who you are, and enter a room.');
  away();
});

element('say').addEventListener('submit', (event) => {
  event.preventDefault();
  if (bridge.send(element('words').value)) element('words').value = '';
});

element('room').value = room;
name = sessionStorage.name ?? '';
element('name').value = name;
if (name) enter();
else element('name').focus();
