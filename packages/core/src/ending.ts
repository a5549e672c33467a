import { type CloseInfo, ConnectionClosed } from './closing.js';
import { type Deferred, deferred } from './deferred.js';

/** The end of a connection, once somebody waits for it or it has come. */
export class Ending {
  /** How it ended, as soon as it has. */
  info: CloseInfo | undefined;
  #closed: Deferred<CloseInfo> | undefined;
  #abort: AbortController | undefined;

  get closed(): Promise<CloseInfo> {
    if (this.info) return Promise.resolve(this.info);
    this.#closed ??= deferred();
    return this.#closed.promise;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.info) this.#abort.abort(new ConnectionClosed(this.info));
    return this.#abort.signal;
  }

  /** Tells who waits for it. */
  tell(info: CloseInfo): void {
    this.#closed?.resolve(info);
    this.#abort?.abort(new ConnectionClosed(info));
  }
}
