import { DrawbridgeError } from './errors.js';
import { LONGEST_TIME } from './timer-limit.js';

export interface HeartbeatOptions {
  /** After this long without a sign of life a peer is sent a ping, in milliseconds. Default 30 000. */
  interval?: number;
  /** How long it then has to show one, in milliseconds, before it is terminated. Default: the interval. */
  timeout?: number;
}

export interface HeartbeatTimes {
  readonly interval: number;
  readonly timeout: number;
}

/** What has a heart: looks after itself whenever it is told the time, and how long ago it was told last at most. */
interface Beating {
  beat(now: number, period: number): void;
}

/** The time between two looks is this share of the shortest time that has to be kept. */
const RESOLUTION = 8;

/** Fills in the defaults; `false`: none. Throws `INVALID_OPTION`. */
export function heartbeatTimes(options: HeartbeatOptions | boolean = {}): HeartbeatTimes | undefined {
  if (options === false) return undefined;
  const { interval = 30_000, timeout = interval } = options === true ? {} : options;
  if (interval > 0 && timeout > 0 && Number.isFinite(interval + timeout)) return { interval, timeout };
  throw new DrawbridgeError(
    'INVALID_OPTION',
    'heartbeat: interval and timeout are positive numbers of milliseconds; or false.',
  );
}

/** One timer for all connections of an Upgrader, which runs while there are any. */
export class Heartbeat {
  readonly #all: ReadonlySet<Beating>;
  #period = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = 0;
  /**
   * Its own time, in milliseconds. It stands still while the process does: what peers sent in answer has not been read then,
   * and nobody must be cut off for it.
   */
  #now = 0;

  constructor(all: ReadonlySet<Beating>) {
    this.#all = all;
  }

  /** Takes on a time to be kept, in milliseconds; the looks become as frequent as the shortest one needs. */
  keep(time: number): void {
    const period = Math.min(Math.max(1, time / RESOLUTION), LONGEST_TIME);
    if (period >= this.#period) return;
    this.#period = period;
    if (this.#timer) this.#restart();
  }

  /** Called when a connection is added. */
  start(): void {
    if (!this.#timer && this.#period !== Number.POSITIVE_INFINITY) this.#restart();
  }

  #restart(): void {
    clearInterval(this.#timer);
    this.#lookedAt = performance.now();
    this.#timer = setInterval(() => this.#look(), this.#period).unref();
  }

  #look(): void {
    if (this.#all.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    const lookedAt = performance.now();
    this.#now += Math.min(lookedAt - this.#lookedAt, 2 * this.#period);
    this.#lookedAt = lookedAt;
    for (const one of this.#all) one.beat(Math.trunc(this.#now), this.#period);
  }
}
