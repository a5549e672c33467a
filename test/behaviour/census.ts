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
