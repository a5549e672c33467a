import type { Request } from 'express';

type NameEnd = '/' | '-' | '.' | '(' | ')' | '?' | ':' | '*' | '{' | '}';

type Name<Rest extends string, Read extends string = ''> = Rest extends `${infer Char}${infer Tail}`
  ? Char extends NameEnd
    ? Read
    : Name<Tail, `${Read}${Char}`>
  : Read;

type Names<Sigil extends ':' | '*', Path extends string> = Path extends `${string}${Sigil}${infer Rest}`
  ? Exclude<Name<Rest>, ''> | Names<Sigil, Rest>
  : never;

type OptionalNames<Path extends string> = Path extends `${string}:${infer Rest}`
  ? (Rest extends `${Name<Rest>}?${string}` ? Name<Rest> : never) | OptionalNames<Rest>
  : never;

type Segments<Path extends string> = { [K in Exclude<Names<':', Path>, OptionalNames<Path>>]: string } & {
  [K in OptionalNames<Path>]?: string;
} & { [K in Names<'*', Path>]: string[] };

/**
 * The parameters that a path of Express declares: `/rooms/:room` gives `{ room: string }`; what stands in braces, or before
 * Express 4's `?`, is optional; Express 5's `*rest` is a list. A path that is known only at run time gives what
 * `req.params` is without a path.
 */
export type RouteParams<Path extends string> = string extends Path
  ? Request['params']
  : Path extends `${infer Before}{${infer Optional}}${infer After}`
    ? RouteParams<Before> & Partial<Segments<Optional>> & RouteParams<After>
    : Segments<Path>;
