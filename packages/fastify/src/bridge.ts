import type { IncomingMessage, Server } from 'node:http';
import {
  type Connection,
  type Handler,
  type PendingUpgrade,
  type Route,
  type Subprotocols,
  Upgrader,
  type UpgraderOptions,
} from '@drawbridge/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { WebSocketOptions } from './augmentation.js';
import { MessageSchema } from './message-schema.js';
import { compileSite } from './site.js';
import { loggerOf, UpgradeLog } from './upgrade-log.js';
import { UpgraderView } from './upgrader-view.js';
import { routeOptionsOf, verifierOf, type WebSocketServerOptions } from './ws-options.js';

/** Registered, so that two copies of this package understand each other. */
export const kBridge = Symbol.for('drawbridge.fastify.bridge');

/** On a request that asks for an upgrade: the reply that Fastify made for it, and on Node's request, Fastify's. */
export const kReply = Symbol('drawbridge.fastify.reply');
const kRequest = Symbol('drawbridge.fastify.request');

type Arrived = FastifyRequest & { [kReply]: FastifyReply };
type Raw = IncomingMessage & { [kRequest]?: FastifyRequest };

export type SocketHandler = Handler<unknown, FastifyRequest>;

/** A WebSocket route as it was declared. */
export interface Declared {
  readonly server: FastifyInstance;
  readonly path: string;
  readonly options: WebSocketOptions<unknown>;
  readonly handler: SocketHandler;
  /** The schema of its messages. */
  readonly message?: unknown;
}

/** Where something unexpected happened. */
export interface FastifyErrorContext {
  request?: FastifyRequest | undefined;
  socket?: Connection<unknown> | undefined;
}

export type WebsocketErrorHandler = (
  this: FastifyInstance,
  error: Error,
  socket: Connection<unknown>,
  request: FastifyRequest,
  reply: FastifyReply,
) => void;

export interface BridgeOptions
  extends Omit<UpgraderOptions<undefined, FastifyRequest>, 'onError'>,
    Pick<WebSocketOptions, 'invalidMessages'> {
  /** The one place where everything unexpected is told. Default: a line on the request's logger. */
  onError?: (error: unknown, context: FastifyErrorContext) => void;
  /**
   * Is given what a handler throws or rejects with, and a connection's 'error' events; it is then its business to close the
   * connection. Default: `onError` is told of the former, and the connection closed with 1011.
   */
  errorHandler?: WebsocketErrorHandler;
  /** What `ws` calls its options. Those of the Upgrader that are given beside them come first. */
  options?: WebSocketServerOptions;
}

/** Between a Fastify application and the Upgrader that serves its WebSocket routes. */
export class Bridge {
  readonly upgrader: Upgrader<undefined, FastifyRequest>;
  readonly websocketServer: UpgraderView;
  readonly server: Server;
  readonly #fastify: FastifyInstance;
  readonly #defaults: WebSocketOptions;
  readonly #verify: ReturnType<typeof verifierOf>;
  readonly #onError: BridgeOptions['onError'];
  readonly #errorHandler: WebsocketErrorHandler | undefined;
  readonly #log: UpgradeLog;

  /** Throws `INVALID_OPTION`. */
  constructor(fastify: FastifyInstance, { onError, errorHandler, options: wsOptions = {}, ...options }: BridgeOptions) {
    const defaults = { ...routeOptionsOf(wsOptions), ...options };
    this.server = (wsOptions.server as Server | undefined) ?? fastify.server;
    this.upgrader = new Upgrader({ ...defaults, onError: (error, context) => this.#report(error, context) });
    if (options.trustProxy === undefined)
      this.upgrader.siteOf = compileSite(fastify, arrivedAs) ?? this.upgrader.siteOf;
    this.websocketServer = new UpgraderView(this.upgrader, wsOptions.clientTracking ?? true);
    this.#fastify = fastify;
    this.#log = new UpgradeLog(fastify);
    this.#defaults = defaults;
    this.#verify = verifierOf(wsOptions);
    this.#onError = onError;
    this.#errorHandler = errorHandler;
  }

  /** Sends the server's upgrades through the application. */
  attach(): void {
    this.upgrader.attach(this.server, ({ request, response }) => this.#fastify.routing(request, response));
  }

  detach(): void {
    this.upgrader.detach(this.server);
  }

  /** Whether no one else listens for the server's upgrades, who could want what is not ours. */
  get alone(): boolean {
    return this.server.listenerCount('upgrade') <= 1;
  }

  /** An upgrade has come to where Fastify made a request of it. */
  receive(upgrade: PendingUpgrade, request: FastifyRequest, reply: FastifyReply): void {
    request.ws = true;
    (request as Arrived)[kReply] = reply;
    (request.raw as Raw)[kRequest] = request;
    this.#log.follow(upgrade, request, reply);
  }

  /** Throws `INVALID_OPTION`. */
  compile({ server, path, options, handler, message }: Declared): Route<unknown, FastifyRequest> {
    const policy = options.invalidMessages ?? this.#defaults.invalidMessages;
    const schema = message === undefined ? undefined : new MessageSchema(message, policy);
    const bound: SocketHandler = (socket, request) => handler.call(server, socket, request);
    const run = this.#errorHandler ? this.#withErrorHandler(bound, this.#errorHandler.bind(server)) : bound;
    const open: SocketHandler = (socket, request) => {
      this.#log.opened(socket, request, replyTo(request));
      schema?.guard(socket);
      this.websocketServer.welcome(socket, request.raw);
      return run(socket, request);
    };
    // As many parameters as the one that it stands for: by them the core knows whether the request is taken.
    Object.defineProperty(open, 'length', { value: handler.length });
    const { subprotocols = this.#defaults.subprotocols ?? speakNone(path) } = options;
    return this.upgrader.compile({ ...this.#withChecks(options, schema), subprotocols }, open, path);
  }

  /** What has to be settled before `beforeUpgrade`, whichever of the two places that comes from. */
  #withChecks(options: Declared['options'], schema: MessageSchema | undefined): Declared['options'] {
    const verify = this.#verify;
    if (!verify && !schema) return options;
    const { beforeUpgrade = this.#defaults.beforeUpgrade } = options;
    return {
      ...options,
      async beforeUpgrade(request, context) {
        schema?.compile(request);
        await verify?.(request.raw);
        return beforeUpgrade?.(request, context);
      },
    };
  }

  #withErrorHandler(run: SocketHandler, errorHandler: OmitThisParameter<WebsocketErrorHandler>): SocketHandler {
    return (socket, request) => {
      const reply = replyTo(request);
      const fail = (error: Error): void => errorHandler(error, socket, request, reply);
      socket.on('error', fail);
      try {
        const running = run(socket, request);
        return typeof running?.then === 'function' ? running.then(undefined, fail) : undefined;
      } catch (error) {
        fail(error as Error);
      }
    };
  }

  #report(
    error: unknown,
    { request: known, socket }: { request?: IncomingMessage | undefined; socket?: Connection<unknown> | undefined },
  ): unknown {
    const request = known && arrivedAs(known);
    if (this.#onError) return this.#onError(error, { request, socket });
    return (loggerOf(socket) ?? (request ?? this.#fastify).log).error(error);
  }
}

/** What Fastify made of a request that asks for an upgrade, as soon as it has. */
function arrivedAs(raw: IncomingMessage): FastifyRequest | undefined {
  return (raw as Raw)[kRequest];
}

function replyTo(request: FastifyRequest): FastifyReply {
  return (request as Arrived)[kReply];
}

/** What a route says that has never been told of subprotocols: none, which is worth a word, for browsers give up on it. */
function speakNone(route: string): Subprotocols<FastifyRequest> {
  let said = false;
  return (_offered, { log }) => {
    if (!said) log.warn({ route }, 'a client offers subprotocols, and this route names none in "subprotocols"');
    said = true;
    return undefined;
  };
}
