// The bridge between a page and its server: a WebSocket that comes back by itself, and a line that says where it stands.

const LONGEST_WAIT = 5_000;
const states = { opening: 'Opening', open: 'Open', lost: 'Lost', closed: 'Closed' };

/** Shows in the header of the page how things stand: a state, and what it means here. */
export function show(state, explanation) {
  document.documentElement.dataset.state = state;
  write('state', states[state]);
  write('explanation', explanation);
}

/** What stands there already is not written again: a screen reader would read it again. */
function write(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keeps a WebSocket to this page's server open.
 *
 * `path` is a path, or a function that gives it anew for each attempt. `onOpen` may return the sentence to show; `onMessage`
 * is given the data, text or ArrayBuffer. `onEnd` is told how a connection ended, `opened` among it; if it returns a sentence,
 * that is shown and the end is final, otherwise the bridge comes back.
 */
export class Bridge {
  #path;
  #handlers;
  #socket;
  #timer;
  #failures = 0;

  constructor(path, { onOpen = () => {}, onMessage = () => {}, onEnd = () => {} }) {
    this.#path = typeof path === 'function' ? path : () => path;
    this.#handlers = { onOpen, onMessage, onEnd };
    // Whoever looks at the page again, or has a network again, need not wait.
    addEventListener('online', () => this.#hurry());
    document.addEventListener('visibilitychange', () => this.#hurry());
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    this.#leave();
    if (this.#failures === 0) show('opening', `Asking ${location.host} to let this page across.`);
    const url = new URL(this.#path(), location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    let opened = false;
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      opened = true;
      this.#failures = 0;
      show('open', this.#handlers.onOpen() ?? `${url}.`);
    };
    socket.onmessage = ({ data }) => this.#handlers.onMessage(data);
    socket.onclose = ({ code, reason }) => this.#onClose({ code, reason, opened });
  }

  /** Sends if it is open; whether it was. */
  send(data) {
    if (this.isOpen) this.#socket.send(data);
    return this.isOpen;
  }

  /** Closes for good, or until the next `open`. */
  close(explanation) {
    this.#leave();
    show('closed', explanation);
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  #onClose(end) {
    const final = this.#handlers.onEnd(end);
    if (final) return show('closed', final);
    // Exponential, and a random part of it, so that the pages of a server that restarts do not all come at once.
    const wait = Math.min(LONGEST_WAIT, 250 * 2 ** this.#failures++) * (0.5 + Math.random() / 2);
    show('lost', `${why(end)} This page comes back by itself.`);
    this.#timer = setTimeout(() => this.open(), wait);
  }

  #hurry() {
    if (this.#timer && document.visibilityState === 'visible') this.open();
  }
}

function why({ code, reason, opened }) {
  if (!opened && code === 1006) return 'The server does not answer, or refuses.';
  if (code === 1006) return 'The connection broke off: the server stopped, or the network did.';
  if (code === 1001) return 'The server is shutting down.';
  if (code === 1013) return 'This page read too slowly.';
  return `The server closed the connection (${code}${reason && `, ${reason}`}).`;
}
