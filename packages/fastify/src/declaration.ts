import { subscribe } from 'node:diagnostics_channel';
import { DrawbridgeError, PendingUpgrade, type Refusal, type Route } from '@drawbridge/core';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions as FastifyRouteOptions } from 'fastify';
import type { WebSocketOptions } from './augmentation.js';
import { type Bridge, kBridge, type SocketHandler } from './bridge.js';

// Registered, so that two copies of this package understand each other.
const kDeclaration = Symbol.for('drawbridge.fastify.declaration');
const kDeclarations = Symbol.for('drawbridge.fastify.declarations');

type Instance = FastifyInstance & { [kDeclarations]?: Declaration[]; [kBridge]?: Bridge };
type Config = { [kDeclaration]?: Declaration } | undefined;
type HttpHandler = FastifyRouteOptions['handler'];

/**
 * A route that asks for WebSocket, by `websocket` or `wsHandler`. Which plugin serves its instance is known only when all of
 * them are loaded; a route that none of ours serves stays as it would be without this package.
 */
export class Declaration {
  /** Whether the route has an error handler of its own, which Fastify's request does not show. */
  readonly hasErrorHandler: boolean;
  readonly #server: Instance;
  readonly #path: string;
  readonly #methods: readonly string[];
  readonly #options: WebSocketOptions<unknown>;
  readonly #socketHandler: SocketHandler;
  readonly #message: unknown;
  #route: Route<unknown, FastifyRequest> | undefined;

  constructor(server: FastifyInstance, declared: FastifyRouteOptions) {
    const { websocket, wsHandler, handler, method, url } = declared;
    this.hasErrorHandler = declared.errorHandler !== undefined;
    this.#server = server;
    this.#path = url;
    this.#methods = [method].flat();
    this.#options = typeof websocket === 'object' ? (websocket as WebSocketOptions<unknown>) : {};
    this.#message = declared.schema?.message;
    this.#socketHandler = (wsHandler ?? handler) as SocketHandler;
  }

  /** The declaration of the route that a request has come to; `undefined` where it is an HTTP route, or none. */
  static of(request: FastifyRequest): Declaration | undefined {
    return (request.routeOptions.config as Config)?.[kDeclaration];
  }

  get served(): boolean {
    return this.#route !== undefined;
  }

  /** Is served from now on, if the plugin is there already. Throws `INVALID_OPTION`. */
  serve(): void {
    const bridge = this.#server[kBridge];
    if (bridge) this.#compile(bridge);
  }

  /** Finds out who serves it, when all plugins are loaded. Throws `PLUGIN_NOT_REGISTERED`, `INVALID_OPTION`. */
  settle(): void {
    if (!this.served) this.serve();
    if (this.served) return;
    // That decorator is @fastify/websocket's: it serves this instance, and needs nothing of ours.
    if (!this.#server.hasDecorator('websocketServer')) throw notRegistered(`${this.#methods} ${this.#path}`);
  }

  admit(upgrade: PendingUpgrade, request: FastifyRequest, reply: FastifyReply): void {
    // As Fastify ends any response: its hooks run, and what they set is on the 101.
    upgrade.finishResponse = () => void reply.code(101).send();
    (this.#route as Route<unknown, FastifyRequest>).admit(upgrade, request).then(
      () => void (reply.sent || reply.hijack()),
      (refusal: Refusal) => void (upgrade.decided || reply.send(refusal)),
    );
  }

  #compile(bridge: Bridge): void {
    if (!this.#methods.some((method) => method === 'GET' || method === 'HEAD')) {
      throw this.#unsound('a WebSocket route is a GET route; declare it by GET.');
    }
    if (typeof this.#socketHandler !== 'function') {
      throw this.#unsound('wsHandler is no function; give one of (socket, request).');
    }
    this.#route = bridge.compile({
      server: this.#server,
      path: this.#path,
      options: this.#options,
      handler: this.#socketHandler,
      message: this.#message,
    });
  }

  #unsound(what: string): DrawbridgeError {
    return new DrawbridgeError('INVALID_OPTION', `${this.#methods} ${this.#path}: ${what}`);
  }
}

// The routes that an application declares before it loads the plugin can only be seen by who is there from the beginning.
subscribe('fastify.initialization', (message) => watch((message as { fastify: FastifyInstance }).fastify));

/** Whether an instance has been watched since before its first route. */
export function isWatched(fastify: Instance): boolean {
  return fastify[kDeclarations] !== undefined;
}

/**
 * Takes note of each route that asks for WebSocket, on this instance and those below it. A second time, it sees what `onRoute`
 * hooks have made of routes since.
 */
export function watch(fastify: Instance): void {
  const declarations = fastify[kDeclarations] ?? settledLater(fastify);
  fastify.addHook('onRoute', function (declared) {
    if (!declared.websocket && !declared.wsHandler) return;
    if (!(declared.config as Config)?.[kDeclaration]) declarations.push(declare(this, declared));
  });
}

function settledLater(fastify: Instance): Declaration[] {
  const declarations: Declaration[] = [];
  fastify[kDeclarations] = declarations;
  fastify.addHook('onReady', async () => {
    for (const declaration of declarations) declaration.settle();
  });
  return declarations;
}

function declare(server: FastifyInstance, declared: FastifyRouteOptions): Declaration {
  const declaration = new Declaration(server, declared);
  declaration.serve();
  const { handler, wsHandler, config, schema } = declared;
  const answer = wsHandler ? handler : answerNotFound;
  declared.config = { ...config, [kDeclaration]: declaration } as NonNullable<typeof config>;
  // The word by which API documentation (@fastify/swagger) leaves a route out.
  if (!wsHandler) declared.schema = { ...schema, hide: true } as NonNullable<typeof schema>;
  declared.handler = function (this: FastifyInstance, request, reply) {
    if (!declaration.served) return handler.call(this, request, reply);
    const upgrade = PendingUpgrade.of(request.raw);
    if (PendingUpgrade.isOver(request.raw)) return void reply.hijack();
    if (!upgrade) return answer.call(this, request, reply);
    declaration.admit(upgrade, request, reply);
  } as HttpHandler;
  return declaration;
}

const answerNotFound: HttpHandler = (_request, reply) => {
  reply.callNotFound();
};

function notRegistered(name: string): DrawbridgeError {
  return new DrawbridgeError(
    'PLUGIN_NOT_REGISTERED',
    `${name} is a WebSocket route, and no WebSocket plugin is registered on its instance or one above it; ` +
      "call fastify.register(websocket) with the default export of '@drawbridge/fastify', on the outermost of them.",
  );
}
