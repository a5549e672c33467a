import { Bridge, show } from './bridge.js';

const HEADER = 4;
const PIXELS = 508;
/** After so long without a piece, in milliseconds, nobody waits for the others any more. */
const SILENCE = 500;

const element = (id) => document.getElementById(id);

/** One of the two pictures, with what came of it. */
class Lane {
  #figure;
  #context;
  #image;
  #isOver = () => {};
  #timer;
  #total = 0;
  #came = 0;
  #next = 0;
  #disorder = 0;
  #drawn = true;

  constructor(figure) {
    this.#figure = figure;
    this.#context = figure.querySelector('canvas').getContext('2d');
    this.#begin();
  }

  /** Waits for a new picture; resolves when it is there, or as much of it as there will be. */
  expect() {
    this.#begin();
    this.#awaitMore();
    return new Promise((resolve) => {
      this.#isOver = resolve;
    });
  }

  add(data) {
    const header = new DataView(data);
    const number = header.getUint16(0);
    this.#total = header.getUint16(2);
    this.#came++;
    if (number < this.#next) this.#disorder++;
    else this.#next = number + 1;
    this.#image.data.set(new Uint8ClampedArray(data, HEADER), number * PIXELS);
    this.#awaitMore();
    this.#draw();
    if (this.#came === this.#total) this.#end();
  }

  #begin() {
    const { width, height } = this.#context.canvas;
    this.#image = this.#context.createImageData(width, height);
    this.#total = this.#came = this.#next = this.#disorder = 0;
    this.#draw();
  }

  #awaitMore() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), SILENCE);
  }

  #end() {
    clearTimeout(this.#timer);
    this.#next = this.#total; // what has not come by now is lost
    this.#draw();
    this.#isOver();
  }

  /** As often as the screen can show it. */
  #draw() {
    if (!this.#drawn) return;
    this.#drawn = false;
    requestAnimationFrame(() => {
      this.#drawn = true;
      this.#context.putImageData(this.#image, 0, 0);
      this.#write();
    });
  }

  #write() {
    const lost = this.#next - this.#came;
    const part = (name) => this.#figure.querySelector(`.${name}`);
    part('came').textContent = this.#total ? `${this.#came} of ${this.#total}` : '0';
    part('lost').textContent = lost;
    part('disorder').textContent = this.#disorder;
    part('lost').classList.toggle('some', lost > 0);
    part('disorder').classList.toggle('some', this.#disorder > 0);
    part('came').closest('figure').querySelector('canvas').ariaLabel =
      this.#came === 0
        ? 'Nothing has come yet.'
        : `A drawbridge at dusk: ${this.#came} of ${this.#total} pieces of the picture.`;
  }
}

const lanes = { udp: new Lane(element('udp')), websocket: new Lane(element('websocket')) };

const bridges = Object.fromEntries(
  ['udp', 'websocket'].map((name) => [
    name,
    new Bridge(`/${name}`, {
      onOpen() {
        if (bridges.udp.isOpen && bridges.websocket.isOpen) queueMicrotask(order);
        return 'Two WebSockets: one brings datagrams, the other the picture itself.';
      },
      onMessage: (data) => lanes[name].add(data),
    }),
  ]),
);

async function order() {
  const button = element('order').querySelector('button');
  button.disabled = true;
  show('open', 'The picture is on its way, twice.');
  const both = Promise.all([lanes.udp.expect(), lanes.websocket.expect()]);
  bridges.udp.send(`picture ${element('share').value}`);
  bridges.websocket.send('picture');
  await both;
  button.disabled = false;
  if (bridges.udp.isOpen && bridges.websocket.isOpen) show('open', 'Both have brought what they could.');
}

element('order').addEventListener('submit', (event) => {
  event.preventDefault();
  if (bridges.udp.isOpen && bridges.websocket.isOpen) order();
});

element('share').addEventListener('input', () => {
  element('percent').textContent = `${element('share').value}%`;
});

for (const bridge of Object.values(bridges)) bridge.open();
