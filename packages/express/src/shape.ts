import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Gives a request and a response, as yet without a value, the properties that Express is going to set on them. Express
 * changes their prototypes first; V8 before Node 24 makes each object that gets a property after that a hidden class of its
 * own, which costs several times what all of the routing does.
 */
export function shapeForExpress(request: IncomingMessage, response: ServerResponse): void {
  const req = request as IncomingMessage & Record<RequestProperty, unknown>;
  req.res = undefined;
  req.next = undefined;
  req.baseUrl = undefined;
  req.originalUrl = undefined;
  req._parsedUrl = undefined;
  req.params = undefined;
  req.route = undefined;
  (response as ServerResponse & { locals: unknown }).locals = undefined;
  // Of Node's; until it is set it is its prototype's.
  response.statusCode = 200;
}

/** Not `query`, which Express 5 has on its prototype. */
type RequestProperty = 'res' | 'next' | 'baseUrl' | 'originalUrl' | '_parsedUrl' | 'params' | 'route';
