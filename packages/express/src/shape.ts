import type { IncomingMessage, ServerResponse } from 'node:http';

/** Those under which Express's router keeps things on a request; known when it has had one. */
const routerSymbols = new Set<symbol>();

/**
 * Gives a request and a response, as yet without a value, the properties that Express is going to set on them. Express
 * changes their prototypes first; V8 before Node 24 makes each object that gets a property after that a hidden class of its
 * own, which costs several times what all of the routing does. What somebody in front of Express has set stays, such as the
 * `originalUrl` of a request whose `url` was rewritten.
 */
export function shapeForExpress(request: IncomingMessage, response: ServerResponse): void {
  const req = request as IncomingMessage & Record<RequestProperty | symbol, unknown>;
  req.res ??= undefined;
  req.next ??= undefined;
  req.baseUrl ??= undefined;
  req.originalUrl ??= undefined;
  req._parsedUrl ??= undefined;
  req.params ??= undefined;
  req.route ??= undefined;
  for (const symbol of routerSymbols) req[symbol] ??= undefined;
  (response as ServerResponse & { locals: unknown }).locals = undefined;
  // Of Node's; until it is set it is its prototype's.
  response.statusCode = 200;
}

/** Looks at a request that has been routed for what the router keeps on it. */
export function learnRouterSymbols(request: IncomingMessage): void {
  for (const symbol of Object.getOwnPropertySymbols(request)) {
    if (symbol.description?.startsWith('router.')) routerSymbols.add(symbol);
  }
}

/** Not `query`, which Express 5 has on its prototype. */
type RequestProperty = 'res' | 'next' | 'baseUrl' | 'originalUrl' | '_parsedUrl' | 'params' | 'route';
