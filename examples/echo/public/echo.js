// One page, one WebSocket at a time. `enter` shows where the connection stands, `record` writes what happened.

const element = (id) => document.getElementById(id);
const forms = { open: element('open'), send: element('send'), close: element('close') };
const message = element('message');
const log = element('log');
const LONGEST_LOG = 500;
const MOST_PARCELS = 20;
const SHOWN_BYTES = 256;
const SHOWN_CHARACTERS = 4096;

const closeCodes = {
  1000: 'normal closure',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1005: 'no code given',
  1006: 'no closing handshake',
  1007: 'invalid data',
  1008: 'policy violation',
  1009: 'message too big',
  1010: 'extension missing',
  1011: 'server error',
  1012: 'server restarting',
  1013: 'try again later',
};

const kinds = {
  text: { draft: 'Hello across the moat', hint: 'Enter sends, Shift+Enter breaks the line.' },
  binary: { draft: 'de ad be ef', hint: 'Bytes in hex, two digits each.' },
};

let socket;
let kind = 'text';

// Where the connection stands

const states = {
  closed: 'Closed',
  opening: 'Opening',
  open: 'Open',
  lost: 'Lost',
  refused: 'Refused',
};

function enter(state, explanation) {
  document.documentElement.dataset.state = state;
  element('state').textContent = states[state];
  element('explanation').textContent = explanation;
  const connected = state === 'open';
  const idle = !connected && state !== 'opening';
  for (const field of forms.open.elements) field.disabled = !idle;
  button(forms.send).disabled = !connected;
  button(forms.close).disabled = idle;
}

function button(form) {
  return form.querySelector('button[type=submit]');
}

// The log

function record(event, detail, measure = '') {
  const entry = document.createElement('li');
  entry.className = event;
  const now = new Date();
  const time = part('time', '', `${now.toLocaleTimeString('en-GB')}.${String(now.getMilliseconds()).padStart(3, '0')}`);
  time.dateTime = now.toISOString();
  entry.append(time, part('span', 'kind', event), part('span', 'detail', detail), part('span', 'measure', measure));

  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  log.append(entry);
  if (log.childElementCount > LONGEST_LOG) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function part(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function recordMessage(event, data) {
  if (typeof data === 'string') {
    record(event, shorten(data, SHOWN_CHARACTERS), `text, ${size(new TextEncoder().encode(data).length)}`);
    return;
  }
  const bytes = new Uint8Array(data);
  record(event, hex(bytes), `binary, ${size(bytes.length)}`);
}

function size(bytes) {
  return bytes === 1 ? '1 byte' : `${bytes.toLocaleString('en')} bytes`;
}

function shorten(text, length) {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

function hex(bytes) {
  const shown = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length > SHOWN_BYTES ? `${shown} …` : shown;
}

// Open

function open(url, subprotocols) {
  try {
    socket = new WebSocket(url, subprotocols);
  } catch (error) {
    record('refused', `The browser did not try: ${error.message}`);
    enter('refused', `The browser did not try: ${error.message}`);
    return;
  }
  const opening = socket;
  let opened = false;
  opening.binaryType = 'arraybuffer';
  enter('opening', `Asking ${new URL(opening.url).host} to let this page across.`);

  opening.addEventListener('open', () => {
    opened = true;
    const chosen = opening.protocol ? `subprotocol ${opening.protocol}` : 'no subprotocol';
    record('opened', `${opening.url}, ${chosen}`);
    enter('open', `${opening.url}, ${chosen}.`);
    message.focus();
    message.select();
  });
  opening.addEventListener('message', ({ data }) => {
    recordMessage('received', data);
    cross('from server', data);
  });
  opening.addEventListener('close', (event) => {
    if (opened) ended(event);
    else neverOpened(opening);
  });
}

function ended({ code, reason, wasClean }) {
  if (!wasClean) {
    record('lost', `without a closing handshake (${code})`);
    return finish('lost', `It ended without a closing handshake (${code}): the server stopped, or the network did.`);
  }
  const who = socket.closedHere ? 'by this page' : 'by the server';
  const name = closeCodes[code] ? ` (${closeCodes[code]})` : '';
  const told = `${who}, code ${code}${name}, ${reason ? `reason “${reason}”` : 'no reason given'}`;
  record('closed', told);
  finish('closed', sentence(told));
}

// A browser reports every handshake that failed as 1006. All that the page can find out is whether a server is there.
async function neverOpened({ url, closedHere }) {
  if (closedHere) {
    record('closed', 'by this page, before it opened');
    return finish('closed', 'By this page, before it opened.');
  }
  if (await answersHttp(url)) {
    record('refused', `${url}: closed before it opened (1006)`);
    return finish('refused', refusal(new URL(url)));
  }
  record('refused', `${url}: nothing answers there (1006)`);
  finish('refused', `Nothing answers at ${new URL(url).host}. Is the server running?`);
}

function refusal({ host, pathname }) {
  const guess =
    host === location.host
      ? `404: no WebSocket lives at ${pathname}; or it speaks none of the subprotocols`
      : `403: this page's origin, ${location.origin}, is not allowed`;
  return `Closed before it opened: the server refused the handshake (for instance ${guess}). The browser does not tell scripts why; its developer tools do.`;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

async function answersHttp(url) {
  try {
    await fetch(new URL('/', url.replace(/^ws/, 'http')), {
      mode: 'no-cors',
      cache: 'no-store',
      signal: AbortSignal.timeout(3_000),
    });
    return true;
  } catch {
    return false;
  }
}

function finish(state, explanation) {
  const focusWasLost = document.activeElement === document.body || forms.close.contains(document.activeElement);
  enter(state, explanation);
  if (focusWasLost) button(forms.open).focus();
}

// Send

function draft() {
  return kind === 'text' ? message.value : bytesOf(message.value);
}

function bytesOf(typed) {
  const digits = typed.replace(/\s+/g, '');
  if (/[^0-9a-f]/i.test(digits) || digits.length % 2 === 1) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function choose(chosen) {
  kinds[kind].draft = message.value;
  kind = chosen;
  message.value = kinds[kind].draft;
  element('hint').textContent = kinds[kind].hint;
  check();
}

function check() {
  message.setCustomValidity(draft() === undefined ? 'Two hex digits a byte, such as de ad be ef.' : '');
}

// A message crosses the bridge where it can be seen.
function cross(from, data) {
  const scene = document.querySelector('.scene');
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  if (scene.querySelectorAll('.parcel').length >= MOST_PARCELS) return;
  const parcel = document.createElementNS('http://www.w3.org/2000/svg', 'circle');
  parcel.setAttribute('class', typeof data === 'string' ? 'parcel' : 'parcel binary');
  parcel.setAttribute('r', '6');
  parcel.setAttribute('cy', '138');
  scene.append(parcel);
  const way = [{ transform: 'translateX(524px)' }, { transform: 'translateX(684px)' }];
  parcel.animate(from === 'server' ? way.reverse() : way, { duration: 650, easing: 'ease-in-out' }).onfinish = () =>
    parcel.remove();
}

// What the person does

forms.open.addEventListener('submit', (event) => {
  event.preventDefault();
  const subprotocols = element('subprotocols').value.match(/[^\s,]+/g) ?? [];
  open(element('url').value.trim(), subprotocols);
});

forms.send.addEventListener('submit', (event) => {
  event.preventDefault();
  if (button(forms.send).disabled) return;
  const data = draft();
  socket.send(data);
  recordMessage('sent', data);
  cross('page', data);
  message.select();
});

forms.close.addEventListener('submit', (event) => {
  event.preventDefault();
  const code = element('code').value;
  try {
    socket.close(...(code === '' ? [] : [Number(code), element('reason').value]));
    socket.closedHere = true;
  } catch (error) {
    element('explanation').textContent = error.message;
  }
});

forms.send.addEventListener('change', ({ target }) => {
  if (target.name === 'kind') choose(target.value);
});

message.addEventListener('input', check);
message.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  forms.send.requestSubmit();
});

element('clear').addEventListener('click', () => log.replaceChildren());

element('url').value =
  new URLSearchParams(location.search).get('url') ??
  `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/echo`;
message.value = kinds.text.draft;
element('hint').textContent = kinds.text.hint;
enter('closed', 'Press Open to lower the bridge.');
