import { WebSocket } from 'ws';

/** Where a listener's failure goes. */
interface Failing {
  fail(error: unknown): void;
}

type Guard = (this: WebSocket, event: { target: unknown }) => void;

const guards = new WeakMap<object, Guard>();
const listeners = new WeakMap<object, object>();

/**
 * The guarded form of an `addEventListener` listener: `ws` wraps such a listener so that an async one's promise reaches
 * nobody, and what it rejects with would end the process. The same listener always gives the same guard.
 */
export function guard(listener: unknown): unknown {
  if ((typeof listener !== 'object' && typeof listener !== 'function') || listener === null) return listener;
  const known = guards.get(listener);
  if (known) return known;
  const guarded: Guard = function (event) {
    const result: unknown =
      typeof listener === 'function'
        ? listener.call(this, event)
        : (listener as { handleEvent(event: unknown): unknown }).handleEvent(event);
    if (result instanceof Promise) result.catch((error: unknown) => (event.target as Failing).fail(error));
  };
  guards.set(listener, guarded);
  listeners.set(guarded, listener);
  return guarded;
}

/** Makes `onmessage` and its like show the listener that was set, not its guard. */
export function showOwnListeners(prototype: WebSocket): void {
  for (const name of ['onopen', 'onmessage', 'onerror', 'onclose']) {
    const attribute = Object.getOwnPropertyDescriptor(WebSocket.prototype, name) as PropertyDescriptor;
    Object.defineProperty(prototype, name, {
      ...attribute,
      get(this: WebSocket) {
        const listener = attribute.get?.call(this);
        return listeners.get(listener) ?? listener;
      },
    });
  }
}
