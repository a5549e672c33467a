import type { PerMessageDeflateOptions } from 'ws';
import type { Life, SlowConsumerPolicy } from './connection.js';
import { DrawbridgeError } from './errors.js';
import { type HeartbeatOptions, heartbeatTimes } from './heartbeat.js';

/** What holds for a connection as long as it lives, whether it was accepted or dialled. */
export interface LifeOptions {
  /** The longest message that is received, in bytes (after decompression); a longer one closes with 1009. Default 1 MiB. */
  maxPayload?: number;
  /** How many frames a message may be made of; more close with 1008. Default 1 024. */
  maxFragments?: number;
  /** Compression (RFC 7692), as in `ws`. Default `false`: it costs memory for each connection. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;
  /**
   * Messages that may wait until the application takes them; then the peer is not read from any more. Default 1 024, and
   * not more than `maxQueuedBytes`. The last packet that was read may go beyond.
   */
  maxQueuedMessages?: number;
  /** The same in bytes. Default 1 MiB. */
  maxQueuedBytes?: number;
  /** Bytes that may wait for a peer that does not read; above it `slowConsumer` acts. Default 16 MiB. */
  maxBufferedAmount?: number;
  /**
   * What happens above `maxBufferedAmount`: `close` (1013, and terminated 5 s later), `terminate`, or `pause`: the producer is
   * trusted to await `socket.drained()`, and only four times the amount terminates. Default `close`.
   */
  slowConsumer?: SlowConsumerPolicy;
  /** When to look for a sign of life, and how long to wait for it; `false`: never. Default: every 30 s. */
  heartbeat?: HeartbeatOptions | boolean;
  /** After this long without a message in either direction the connection is closed with 4408, in milliseconds. Default 0: never. */
  idleTimeout?: number;
}

/** The same with the defaults filled in, in the form that `ws` takes; it hands `life` on to the connection that it makes. */
export interface CompiledLife {
  readonly maxPayload: number;
  readonly maxFragments: number;
  readonly maxBufferedChunks: number;
  /** Pings are answered by the connection itself: `ws` would keep a closure for it on each. */
  readonly autoPong: false;
  readonly perMessageDeflate: boolean | PerMessageDeflateOptions;
  readonly life: Life;
}

/** Whom connections tell what happens to them. */
export type Owner = Pick<Life, 'onError' | 'onClose'>;

const NEVER = Number.POSITIVE_INFINITY;

/** Throws `INVALID_OPTION`. */
export function compileLife(options: LifeOptions, path: string | undefined, owner: Owner): CompiledLife {
  const maxPayload = amount('maxPayload', options.maxPayload ?? 1024 * 1024);
  return {
    maxPayload,
    maxFragments: amount('maxFragments', options.maxFragments ?? 1024),
    // Packets of a message that is not whole yet: a peer that sends it in tiny ones must not cost many times its size.
    autoPong: false,
    maxBufferedChunks: Math.max(4096, Math.ceil(maxPayload / 512)),
    perMessageDeflate: options.perMessageDeflate ?? false,
    life: {
      path,
      heartbeat: heartbeatTimes(options.heartbeat),
      idleTimeout: amount('idleTimeout', options.idleTimeout ?? 0),
      maxQueuedMessages: amount('maxQueuedMessages', options.maxQueuedMessages ?? 1024),
      maxQueuedBytes: amount('maxQueuedBytes', options.maxQueuedBytes ?? 1024 * 1024),
      maxBufferedAmount: amount('maxBufferedAmount', options.maxBufferedAmount ?? 16 * 1024 * 1024),
      slowConsumer: oneOf('slowConsumer', options.slowConsumer ?? 'close', ['close', 'terminate', 'pause']),
      onError: owner.onError,
      onClose: owner.onClose,
    },
  };
}

/** The shortest time that a connection wants to be looked after in, in milliseconds. */
export function shortestTime({ heartbeat, idleTimeout }: Life): number {
  return Math.min(heartbeat?.interval ?? NEVER, heartbeat?.timeout ?? NEVER, idleTimeout || NEVER);
}

/** The value, if it is one of those. Throws `INVALID_OPTION`. */
export function oneOf<Value extends string>(name: string, value: Value, choice: readonly Value[]): Value {
  if (choice.includes(value)) return value;
  throw new DrawbridgeError('INVALID_OPTION', `${name}: ${value} is none of ${choice.join(', ')}.`);
}

/** The value, if it is a whole number from 0 on. Throws `INVALID_OPTION`. */
export function amount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new DrawbridgeError('INVALID_OPTION', `${name}: ${value} is no amount; give a whole number, 0 or more.`);
}
