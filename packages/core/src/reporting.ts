import type { IncomingMessage } from 'node:http';
import type { Connection } from './connection.js';
import { errorReported } from './diagnostics.js';

/** Where something unexpected happened. */
export interface ErrorContext {
  request?: IncomingMessage | undefined;
  socket?: Connection<unknown> | undefined;
}

/** Tells of what went wrong, the one who is there to be told and whoever watches. Never fails itself. */
export function report<Context extends ErrorContext>(
  onError: ((error: unknown, context: Context) => unknown) | undefined,
  error: unknown,
  context: Context,
): void {
  if (errorReported.heard) errorReported.publish({ error, ...context });
  if (!onError) return print(error);
  const onBroken = (broken: unknown): void => {
    print(broken);
    print(error);
  };
  try {
    const told = onError(error, context);
    if (told instanceof Promise) told.catch(onBroken);
  } catch (broken) {
    onBroken(broken);
  }
}

/** Printing runs the error's own code (its getters, its way to be inspected), which may fail as well. */
function print(error: unknown): void {
  try {
    console.error('drawbridge:', error);
  } catch {
    console.error('drawbridge: an error that cannot be printed');
  }
}
