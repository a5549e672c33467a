import { ConnectionClosed } from './closing.js';
import { HandshakeRefused } from './handshake-refused.js';
import { LONGEST_TIME } from './timer-limit.js';

export interface Backoff {
  /** What the first wait is at most, in milliseconds; it doubles with each attempt. */
  readonly backoff: number;
  /** What any wait is at most, in milliseconds. */
  readonly maxDelay: number;
}

/** "Service restart" and "try again later": the registered meaning of 1012 asks for 5 to 30 seconds. */
const LATER = [1012, 1013];

/** Violations of a policy (RFC 6455 section 7.4.1), and 401 and 403 as close codes: the same again is refused again. */
const FINAL = [1008, 4401, 4403];

/** 4xx that time can heal: timeout, too early, too many requests. */
const PASSING = [408, 425, 429];

/** Whether there is no use in dialling again. */
export function isFinal(failure: Error): boolean {
  if (failure instanceof ConnectionClosed) return FINAL.includes(failure.code);
  if (failure instanceof HandshakeRefused) return failure.status < 500 && !PASSING.includes(failure.status);
  return 'code' in failure && (failure.code === 'INVALID_OPTION' || failure.code === 'INVALID_HEADER');
}

/** What the wait after this many attempts is at most, in milliseconds. */
export function bound(attempt: number, { backoff, maxDelay }: Backoff): number {
  return Math.min(maxDelay, backoff * 2 ** (attempt - 1));
}

/**
 * How long to wait after this many attempts, in milliseconds: anything from nothing to the bound, with even chances, so
 * that clients which lost their server together do not come back together. What the server asks for comes first.
 */
export function delayAfter(attempt: number, failure: Error, backoff: Backoff, random = Math.random): number {
  if (failure instanceof ConnectionClosed && LATER.includes(failure.code)) return 5_000 + random() * 25_000;
  return Math.min(LONGEST_TIME, askedFor(failure) + random() * bound(attempt, backoff));
}

/** What Retry-After says, as seconds or as a date (RFC 9110 section 10.2.3), in milliseconds. */
function askedFor(failure: Error): number {
  const field = failure instanceof HandshakeRefused ? (failure.headers['retry-after'] ?? '') : '';
  if (/^\d+$/.test(field)) return Number(field) * 1_000;
  return Math.max(0, Date.parse(field) - Date.now()) || 0;
}
