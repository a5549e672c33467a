import { DrawbridgeError } from './errors.js';
import { Refusal } from './refusal.js';

export interface AdmissionOptions {
  /** Open connections and pending upgrades together, above which a new upgrade gets 503. Default: no limit. */
  maxConnections?: number;
  /** The same for one client address, as `trustProxy` tells it; then 429. Default: no limit. */
  maxConnectionsPerAddress?: number;
  /** Upgrades that wait for a decision, above which a new one gets 429. Default: no limit. */
  maxPendingUpgrades?: number;
}

/** The limits that hold before anything is decided about an upgrade, and before any middleware runs. */
export class Admission {
  readonly #maxConnections: number;
  readonly #maxPerAddress: number;
  readonly #maxPending: number;
  readonly #perAddress = new Map<string, number>();

  /** Throws `INVALID_OPTION`. */
  constructor(options: AdmissionOptions) {
    this.#maxConnections = limit('maxConnections', options.maxConnections);
    this.#maxPerAddress = limit('maxConnectionsPerAddress', options.maxConnectionsPerAddress);
    this.#maxPending = limit('maxPendingUpgrades', options.maxPendingUpgrades);
  }

  /** Whether addresses have to be counted; if not, nobody needs to find them out. */
  get countsAddresses(): boolean {
    return this.#maxPerAddress !== Number.POSITIVE_INFINITY;
  }

  /** The refusal of one more upgrade, if there are too many already. */
  objection(open: number, pending: number, address: string | undefined): Refusal | undefined {
    if (open + pending >= this.#maxConnections) {
      return tooMany(503, 'TOO_MANY_CONNECTIONS', 'This server has as many connections as it may have.');
    }
    if (pending >= this.#maxPending) {
      return tooMany(429, 'TOO_MANY_PENDING', 'Too many handshakes wait for an answer.');
    }
    if (address !== undefined && (this.#perAddress.get(address) ?? 0) >= this.#maxPerAddress) {
      return tooMany(429, 'TOO_MANY_FROM_ADDRESS', 'Your address has as many connections as it may have.');
    }
    return undefined;
  }

  enter(address: string): void {
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
  }

  leave(address: string): void {
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}

function tooMany(status: number, code: string, body: string): Refusal {
  return new Refusal(status, { code, headers: { 'Retry-After': '5' }, body });
}

function limit(name: string, value = Number.POSITIVE_INFINITY): number {
  if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= 0)) return value;
  throw new DrawbridgeError(
    'INVALID_OPTION',
    `${name}: ${value} is no limit; give a whole number, or leave it out for none.`,
  );
}
