import { Bridge, show } from './bridge.js';

const element = (id) => document.getElementById(id);
const text = element('text');

let version = '';
let name = 'The file';
let lines;

const bridge = new Bridge(() => `/file?version=${version}`, {
  onOpen: () => (version ? `${name} is shown as it is now.` : 'Waiting for the file.'),
  onMessage: (data) => showFile(JSON.parse(data)),
});

function showFile(file) {
  ({ version, name } = file);
  document.title = `${name} · Drawbridge file watch`;
  element('name').textContent = name;
  show('open', `${name} is shown as it is now.`);
  if (file.text === undefined) return showNothing();
  const before = lines;
  lines = file.text.replace(/\n$/, '').split('\n');
  element('facts').textContent = facts(file);
  const [first, last] = before ? changed(before, lines) : [0, 0];
  text.replaceChildren(...lines.map((line, number) => part('span', line, number >= first && number < last)));
  if (file.size > new Blob([file.text]).size) text.append(part('i', '… the rest is not shown.'));
  text.querySelector('.changed')?.scrollIntoView({ block: 'nearest' });
}

function showNothing() {
  lines = [];
  element('facts').textContent = '';
  text.replaceChildren(part('i', 'There is no such file any more. When it comes back, so does it here.'));
}

function facts({ size, written }) {
  const count = lines.length === 1 ? '1 line' : `${lines.length.toLocaleString('en')} lines`;
  return `${count}, ${size.toLocaleString('en')} bytes, written at ${new Date(written).toLocaleTimeString('en-GB')}`;
}

/** From which line to which the new text differs from the old one: what they begin and end with alike is not it. */
function changed(before, after) {
  let start = 0;
  while (start < after.length && before[start] === after[start]) start++;
  let alike = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (alike < shorter && before.at(-1 - alike) === after.at(-1 - alike)) alike++;
  return [start, after.length - alike];
}

function part(tag, content, isChanged) {
  const node = document.createElement(tag);
  node.textContent = content;
  if (isChanged) node.className = 'changed';
  return node;
}

bridge.open();
