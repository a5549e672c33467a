import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { createReadStream, type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { text } from 'node:stream/consumers';

/** What is shown of a long file, in bytes. */
const LONGEST = 256 * 1024;

/** What is written within this time is one change, in milliseconds: an editor empties a file before it fills it. */
const ONE_CHANGE = 100;

/** A file as it is at a time. */
export interface Snapshot {
  name: string;
  /** The same for the same contents, whenever they were written. */
  version: string;
  /** Not all of it, if it is longer than 256 KiB; `undefined` if it cannot be read. */
  text?: string;
  /** In bytes. */
  size?: number;
  /** In milliseconds since 1970. */
  written?: number;
}

/** A file that is looked at whenever it changes; emits `change` when there is something else in it. */
export class WatchedFile extends EventEmitter<{ change: [] }> {
  current: Snapshot;
  readonly #path: string;
  readonly #watcher: FSWatcher;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void>;

  /** Rejects if there is no such file, or it cannot be read. */
  static async open(path: string): Promise<WatchedFile> {
    const file = new WatchedFile(await realpath(path), await read(path));
    await file.#looking;
    return file;
  }

  private constructor(path: string, first: Snapshot) {
    super();
    this.setMaxListeners(0); // each page is one
    this.current = first;
    this.#path = path;
    // The folder, not the file: most editors put a new file in the place of the old one.
    this.#watcher = watch(dirname(path), (_, name) => {
      if (name === basename(path)) this.#timer ??= setTimeout(() => this.#lookAgain(), ONE_CHANGE);
    });
    this.#looking = this.#look(); // it may have changed before it was watched
  }

  close(): void {
    this.#watcher.close();
    clearTimeout(this.#timer);
  }

  #lookAgain(): void {
    this.#timer = undefined;
    this.#looking = this.#looking.then(() => this.#look()); // one after the other, so that the last one is right
  }

  async #look(): Promise<void> {
    const now = await read(this.#path).catch((): Snapshot => ({ name: basename(this.#path), version: 'none' }));
    if (now.version === this.current.version) return;
    this.current = now;
    this.emit('change');
  }
}

async function read(path: string): Promise<Snapshot> {
  const { size, mtimeMs: written } = await stat(path);
  const contents = await text(createReadStream(path, { end: LONGEST - 1 }));
  const version = createHash('sha1').update(`${size} ${contents}`).digest('base64url');
  return { name: basename(path), version, text: contents, size, written };
}
