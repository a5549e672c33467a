import { DrawbridgeError } from './errors.js';

/** How long a handshake may go on: until its time is up, or its caller has lost interest. */
export class Deadline {
  readonly #abort = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param timeout in milliseconds; 0: for ever. */
  constructor(timeout: number, caller: AbortSignal | undefined) {
    this.#caller = caller;
    if (timeout > 0) this.#timer = setTimeout(() => this.#abort.abort(timedOut(timeout)), timeout);
    if (caller?.aborted) this.#onCallerAbort();
    else caller?.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  /** Its reason is what the dial rejects with. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The result, if it comes in time. */
  async hold<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    signal.throwIfAborted();
    let giveUp: (() => void) | undefined;
    const late = new Promise<never>((_, reject) => {
      giveUp = () => reject(signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      if (giveUp) signal.removeEventListener('abort', giveUp);
    }
  }

  /** It is over, one way or the other: from here on nothing fires. */
  lift(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#onCallerAbort);
  }

  #onCallerAbort = (): void => {
    const cause: unknown = this.#caller?.reason;
    this.#abort.abort(
      new DrawbridgeError('DIAL_ABORTED', 'The signal fired before the connection was open.', { cause }),
    );
  };
}

function timedOut(timeout: number): DrawbridgeError {
  return new DrawbridgeError(
    'DIAL_TIMEOUT',
    `The handshake was not done within ${timeout} ms; look whether the server answers, or give it a longer timeout.`,
  );
}
