import { AsyncResource } from 'node:async_hooks';

/** Called when something has been written out, or with the error. */
export type SendCallback = (error?: Error | null) => void;

/** Where the failure of a callback goes. */
interface Failing {
  fail(error: unknown): void;
}

/**
 * A callback runs in the async context of who gave it, whoever else sends in that tick; what it throws is a failure of its
 * own connection and of nothing else. Whatever is no callback stays what it is. (`AsyncResource.bind` costs 50 times more.)
 */
export function guardCallback<Argument>(argument: Argument, connection: Failing): Argument {
  if (typeof argument !== 'function') return argument;
  const context = new AsyncResource('WebSocketSend');
  const guarded: SendCallback = (error) => {
    try {
      context.runInAsyncScope(argument as unknown as SendCallback, undefined, error);
    } catch (failure) {
      connection.fail(failure);
    }
  };
  return guarded as Argument;
}
