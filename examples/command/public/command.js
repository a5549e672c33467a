import { Bridge, show } from './bridge.js';

const element = (id) => document.getElementById(id);
const screen = element('screen');
const line = element('line');
const MOST_PIECES = 2_000;
const INTERRUPT = '\x03';
const END_OF_INPUT = '\x04';

// What colours a terminal and moves its cursor: this page is simpler than that.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how they begin
const controlSequences = /\x1b(\[[\d;?]*[a-zA-Z]|\][^\x07]*\x07|[()][A-Z0-9])|\r(?=\n)/g;

let decoder;
let runs = 0;

const bridge = new Bridge('/command', {
  onOpen() {
    decoder = new TextDecoder();
    if (runs++ > 0) print('i', `\n— process ${runs} —\n`);
    setRunning(true);
  },
  onMessage(data) {
    if (typeof data === 'string') begin(data);
    else print('span', decoder.decode(data, { stream: true }).replace(controlSequences, ''));
  },
  onEnd({ code, reason, opened }) {
    if (opened) setRunning(false);
    if (code !== 1000 && code !== 1011) return;
    element('again').hidden = false;
    element('again').focus();
    print('i', `\n${reason}\n`);
    return `The process is over: ${reason}.`;
  },
});

function begin(command) {
  document.title = `${command} · Drawbridge command`;
  element('command').textContent = command;
  show('open', `${command} is running. It ends when this page does.`);
  line.focus();
}

function setRunning(running) {
  for (const id of ['interrupt', 'end', 'line']) element(id).disabled = !running;
  if (running) element('again').hidden = true;
}

function print(tag, text) {
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
  const piece = document.createElement(tag);
  piece.textContent = text;
  screen.append(piece);
  if (screen.childElementCount > MOST_PIECES) screen.firstElementChild.remove();
  if (atEnd) screen.scrollTop = screen.scrollHeight;
}

// Typing

const history = [];
let recalled = 0;

function type(text, shown) {
  if (bridge.send(text)) print('b', shown);
}

element('prompt').addEventListener('submit', (event) => {
  event.preventDefault();
  type(`${line.value}\n`, `${line.value}\n`);
  if (line.value && line.value !== history.at(-1)) history.push(line.value);
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

document.addEventListener('keydown', (event) => {
  if (!event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  const isCopy = !getSelection().isCollapsed || line.selectionStart !== line.selectionEnd;
  if (event.key === 'c' && !isCopy) type(INTERRUPT, '^C\n');
  else if (event.key === 'd' && line.value === '') type(END_OF_INPUT, '^D\n');
  else return;
  event.preventDefault();
});

element('interrupt').addEventListener('click', () => type(INTERRUPT, '^C\n'));
element('end').addEventListener('click', () => type(END_OF_INPUT, '^D\n'));
element('again').addEventListener('click', () => bridge.open());

setRunning(false);
bridge.open();
