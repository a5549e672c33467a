export const WIDTH = 381;
export const HEIGHT = 240;

type Colour = readonly [red: number, green: number, blue: number];

/** What is to be seen at a point; `undefined` where one sees through. */
type Layer = (x: number, y: number) => Colour | undefined;

const GROUND = 178;
const GATE = 306;
const HINGE = 282;

/** A drawbridge at dusk, from back to front. */
const layers: Layer[] = [
  (_, y) => mix([38, 62, 104], [245, 170, 118], y / GROUND),
  (x, y) => (scatter(x, y) > 0.9992 && y < 90 ? [255, 244, 214] : undefined),
  (x, y) => glow(Math.hypot(x - 118, y - 116), y),
  (x, y) => within(y > 132 + 18 * Math.sin(x / 47) + 8 * Math.sin(x / 19 + 2), [104, 92, 120]),
  (x, y) => within(y > 156 + 11 * Math.sin(x / 36 + 1.4), [70, 70, 88]),
  (x, y) => within(y > GROUND + 4, mix([214, 140, 108], [22, 40, 66], (y - GROUND) / 46 + ripple(x, y))),
  (x, y) => within(y > GROUND && (x < 128 - (y - GROUND) * 0.4 || x > HINGE - 12 + (y - GROUND) * 0.4), [40, 54, 48]),
  box(258, 108, 366, GROUND, [98, 96, 108]), // wall
  merlons(258, 366, 100, [98, 96, 108]),
  box(234, 72, 270, GROUND, [120, 116, 124]), // towers
  merlons(227, 277, 62, [120, 116, 124]),
  box(340, 56, 378, GROUND, [108, 104, 114]),
  merlons(334, 384, 46, [108, 104, 114]),
  (x, y) => within(y > 132 && y < GROUND && arch(x, y, GATE, 24), [24, 22, 30]),
  (x, y) => within(y > 132 && y < 158 && arch(x, y, GATE, 24) && (x % 8 < 1.6 || y % 8 < 1.6), [86, 84, 92]), // portcullis
  ...[
    [252, 99],
    [359, 99],
    [355, 134],
  ].map(([left = 0, top = 0]) => lit(left, top)),
  (x, y) => within(line(x, y, HINGE, 120, 140, GROUND - 3) < 0.9, [44, 36, 34]), // chains
  (x, y) => within(line(x, y, HINGE, 128, 196, GROUND - 3) < 0.9, [44, 36, 34]),
  (x, y) =>
    within(x > 116 && x < HINGE + 6 && y > GROUND - 4 && y < GROUND + 3, x % 12 < 1.4 ? [84, 50, 24] : [150, 94, 46]),
];

/** The pixels, row by row, four bytes each: red, green, blue, and 255. */
export function paint(): Buffer {
  const pixels = Buffer.alloc(WIDTH * HEIGHT * 4, 255);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      // Two looks at each pixel make soft edges.
      const [one, other] = [look(x + 0.25, y + 0.25), look(x + 0.75, y + 0.75)];
      for (const channel of [0, 1, 2] as const) {
        pixels[(y * WIDTH + x) * 4 + channel] = (one[channel] + other[channel]) / 2;
      }
    }
  }
  return pixels;
}

function look(x: number, y: number): Colour {
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const colour = layers[layer]?.(x, y);
    if (colour) return colour;
  }
  return [0, 0, 0];
}

function within(inside: boolean, colour: Colour): Colour | undefined {
  return inside ? colour : undefined;
}

function box(left: number, top: number, right: number, bottom: number, colour: Colour): Layer {
  return (x, y) => within(x > left && x < right && y > top && y < bottom, shade(colour, x, y));
}

/** A window. */
function lit(x: number, y: number): Layer {
  return (atX, atY) => within(Math.abs(atX - x) < 3 && Math.abs(atY - y) < 6, [255, 214, 120]);
}

function merlons(left: number, right: number, top: number, colour: Colour): Layer {
  return (x, y) => {
    const tooth = (x - left) % 14 < 8;
    return within(x > left && x < right && y < top + 16 && y > (tooth ? top : top + 8), shade(colour, x, y));
  };
}

/** Courses of stone. */
function shade([red, green, blue]: Colour, x: number, y: number): Colour {
  const row = Math.floor(y / 7);
  const joint = y % 7 < 0.9 || (x + (row % 2) * 8) % 16 < 0.9;
  const light = (joint ? -14 : 0) + 10 * scatter(Math.floor((x + (row % 2) * 8) / 16), row);
  return [red + light, green + light, blue + light];
}

function glow(distance: number, y: number): Colour | undefined {
  if (distance < 24) return [255, 226, 170];
  if (distance > 62) return undefined;
  return mix([252, 196, 136], mix([38, 62, 104], [245, 170, 118], y / GROUND), (distance - 24) / 38);
}

function ripple(x: number, y: number): number {
  return 0.16 * Math.sin(y * 1.6 + 3 * Math.sin(x / 23 + y / 5));
}

function arch(x: number, y: number, middle: number, half: number): boolean {
  return Math.abs(x - middle) < half && (y > 132 + half || Math.hypot(x - middle, y - 132 - half) < half);
}

function line(x: number, y: number, x1: number, y1: number, x2: number, y2: number): number {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const along = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length));
  return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1));
}

function mix(from: Colour, to: Colour, share: number): Colour {
  const part = Math.min(1, Math.max(0, share));
  const channel = (index: 0 | 1 | 2): number => from[index] + (to[index] - from[index]) * part;
  return [channel(0), channel(1), channel(2)];
}

/** Between 0 and 1, as if by chance, and always the same for the same place. */
function scatter(x: number, y: number): number {
  const noise = Math.sin(Math.floor(x) * 127.1 + Math.floor(y) * 311.7) * 43758.5453;
  return noise - Math.floor(noise);
}
