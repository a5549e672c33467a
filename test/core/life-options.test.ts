import { isUnexpectedClose, type RouteOptions, Upgrader, type UpgraderOptions } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';

const wrongOfRoutes: Record<string, unknown>[] = [
  { maxPayload: -1 },
  { maxPayload: 1.5 },
  { maxPayload: '1 MiB' },
  { maxFragments: Number.NaN },
  { maxQueuedMessages: -1 },
  { maxQueuedBytes: Number.POSITIVE_INFINITY },
  { maxBufferedAmount: -1 },
  { slowConsumer: 'drop' },
  { heartbeat: { interval: 0 } },
  { heartbeat: { timeout: -1 } },
  { heartbeat: { interval: Number.POSITIVE_INFINITY } },
  { idleTimeout: -1 },
  { idleTimeout: 0.5 },
  { refusals: 'silent' },
];

const wrongOfUpgraders: Record<string, unknown>[] = [
  { maxConnections: -1 },
  { maxConnections: 0.5 },
  { maxConnectionsPerAddress: Number.NaN },
  { maxPendingUpgrades: -1 },
  { handshakeTimeout: -1 },
];

describe('what holds for a connection is checked when the application starts', () => {
  const invalid = expect.objectContaining({ code: 'INVALID_OPTION' });

  test.each(wrongOfRoutes)('%o', (options) => {
    expect(() => new Upgrader().route('/', options as RouteOptions, () => {})).toThrow(invalid);
    expect(() => new Upgrader(options as UpgraderOptions)).toThrow(invalid);
  });

  test.each(wrongOfUpgraders)('%o', (options) => {
    expect(() => new Upgrader(options as UpgraderOptions)).toThrow(invalid);
  });

  test('what it may be', () => {
    new Upgrader({ heartbeat: true }).route('/', { heartbeat: false, slowConsumer: 'pause', maxPayload: 0 }, () => {});
    new Upgrader({ maxConnections: Number.POSITIVE_INFINITY, maxPendingUpgrades: 0, handshakeTimeout: 0 });
    new Upgrader({ heartbeat: { interval: 0.5, timeout: 1 }, refusals: 'close' });
  });
});

test('an unexpected close has none of the codes that were expected', () => {
  expect(isUnexpectedClose(1000, 1000, 1001)).toBe(false);
  expect(isUnexpectedClose(1001, 1000, 1001)).toBe(false);
  expect(isUnexpectedClose(1006, 1000, 1001)).toBe(true);
  expect(isUnexpectedClose(1000)).toBe(true);
});
