import { createHook } from 'node:async_hooks';
import type { EventEmitter } from 'node:events';
import { onTestFinished } from 'vitest';
import type { Site } from './hosts/index.js';

/** How many listeners each event has: on the process, and on the server. */
export function countListeners({ server }: Site): Record<string, Record<string, number>> {
  return { process: listenersOf(process), server: listenersOf(server) };
}

function listenersOf(emitter: EventEmitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]));
}

/** As far as a timer can be told from another: for how long it was set, in milliseconds. */
interface Timer {
  readonly _idleTimeout?: number;
}

/** The timers that are begun from now on and still run, those too that do not keep the process alive, until it is stopped. */
export function watchTimers(isMeant: (timer: Timer) => boolean = () => true): {
  running: Set<number>;
  stop(): void;
} {
  const running = new Set<number>();
  const hook = createHook({
    init: (id, type, _trigger, timer: Timer) => type === 'Timeout' && isMeant(timer) && running.add(id),
    destroy: (id) => running.delete(id),
  }).enable();
  const stop = (): void => void hook.disable();
  onTestFinished(stop);
  return { running, stop };
}

/** What would have ended the process, or warned of a leak, from now to the end of the test. */
export function watchProcess(): unknown[] {
  const faults: unknown[] = [];
  const note = (fault: { name?: string }) => {
    if (fault?.name !== 'DeprecationWarning') faults.push(fault);
  };
  for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) process.on(event, note);
  onTestFinished(() => {
    for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) process.off(event, note);
  });
  return faults;
}
