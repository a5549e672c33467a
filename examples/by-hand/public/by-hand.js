import { Bridge } from './bridge.js';

const element = (id) => document.getElementById(id);
const LONGEST_LIST = 50;
const telling = /^(?:Upgrade|Connection|Sec-WebSocket-(?:Key|Accept)):.*$/gim;

let first = true;

const bridge = new Bridge('/', {
  onOpen() {
    first = true;
    return 'The two of them speak WebSocket now.';
  },
  onMessage: (data) => (first ? showHandshake(data) : showFrame(data)),
});

function showHandshake(data) {
  const [request, answer] = data.split('\r\n\r\n');
  element('request').replaceChildren(...marked(request));
  element('answer').replaceChildren(...marked(answer));
  first = false;
}

/** The lines that make it an upgrade stand out. */
function marked(lines) {
  return lines.split('\r\n').flatMap((line) => [line.match(telling) ? part('mark', '', line) : line, '\n']);
}

function showFrame(data) {
  const gap = data.indexOf(' ');
  const bytes = data.slice(0, gap).match(/../g);
  const lengthEnd = (Number.parseInt(bytes[1], 16) & 0x7f) === 126 ? 4 : 2;
  const entry = document.createElement('li');
  entry.append(
    part('i', 'kind', bytes[0]),
    ' ',
    part('i', 'length', bytes.slice(1, lengthEnd).join(' ')),
    ' ',
    part('i', 'mask', bytes.slice(lengthEnd, lengthEnd + 4).join(' ')),
    ' ',
    part('i', 'contents', bytes.slice(lengthEnd + 4).join(' ')),
    part('q', '', data.slice(gap + 1)),
  );
  element('frames').prepend(entry);
  if (element('frames').childElementCount > LONGEST_LIST) element('frames').lastElementChild.remove();
}

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

element('send').addEventListener('submit', (event) => {
  event.preventDefault();
  if (bridge.send(element('text').value)) element('text').select();
});

bridge.open();
