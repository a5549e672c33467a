import findMyWay from 'find-my-way';
import { DrawbridgeError } from './errors.js';

/** The characters that end a parameter's name in a path: the next segment, `-` or `.`, a pattern, `?`, another parameter. */
type NameEnd = '/' | '-' | '.' | '(' | '?' | ':';

type Name<Rest extends string, Read extends string = ''> = Rest extends `${infer Char}${infer Tail}`
  ? Char extends NameEnd
    ? Read
    : Name<Tail, `${Read}${Char}`>
  : Read;

type Names<Path extends string> = Path extends `${string}:${infer Rest}` ? Name<Rest> | Names<Rest> : never;

type OptionalNames<Path extends string> = Path extends `${infer Head}?` ? LastName<Head> : never;
type LastName<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${string}:${string}`
    ? LastName<Rest>
    : Name<Rest>
  : never;

/**
 * The parameters that a path declares: `/rooms/:room` gives `{ room: string }`, a `*` is named `'*'`, and a path that is
 * known only at run time gives a record of strings.
 */
export type PathParams<Path extends string> = string extends Path
  ? Record<string, string>
  : { [K in Exclude<Names<Path>, OptionalNames<Path> | ''>]: string } & {
      [K in OptionalNames<Path>]?: string;
    } & (Path extends `${string}*` ? { '*': string } : unknown);

export interface RouterOptions {
  /** Whether `/Echo` and `/echo` are different paths. Default `true`. */
  caseSensitive?: boolean;
  /** Whether `/echo/` is also `/echo`. Default `false`. */
  ignoreTrailingSlash?: boolean;
}

/** The query of a request: a key that stands there more than once has a list. */
export type Query = Record<string, string | string[]>;

interface Match<Value> {
  value: Value;
  params: Record<string, string>;
  searchParams: Query;
}

/** Paths to what they stand for, in a radix tree: finding one does not get slower with their number. */
export class Router<Value> {
  readonly #tree;

  constructor({ caseSensitive = true, ignoreTrailingSlash = false }: RouterOptions = {}) {
    // The server's limit on headers bounds a target already; a parameter must not be cut off earlier.
    this.#tree = findMyWay({ caseSensitive, ignoreTrailingSlash, maxParamLength: Number.MAX_SAFE_INTEGER });
  }

  /** Throws `ROUTE_EXISTS` for a path that is taken and `INVALID_OPTION` for one that cannot be. */
  add(path: string, value: Value): void {
    try {
      this.#tree.on('GET', path as `/${string}`, neverCalled, value);
    } catch (cause) {
      const taken = (cause as Error).message.includes('already declared');
      throw new DrawbridgeError(
        taken ? 'ROUTE_EXISTS' : 'INVALID_OPTION',
        taken
          ? `There is a route for ${path} already; give it one handler.`
          : `The path ${JSON.stringify(path)} cannot be routed: ${(cause as Error).message}; write it as "/rooms/:room" or "/files/*".`,
        { cause },
      );
    }
  }

  /** What the target (path and query) leads to; parameters and query come decoded. */
  find(target: string): Match<Value> | undefined {
    const found = this.#tree.find('GET', target) as (Omit<Match<Value>, 'value'> & { store: Value }) | null;
    return found ? { value: found.store, params: found.params, searchParams: found.searchParams } : undefined;
  }
}

/** find-my-way wants a handler of `(req, res)`; only its search is used here. */
function neverCalled(): void {}
