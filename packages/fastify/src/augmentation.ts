import type { Connection, RouteOptions, Upgrader } from '@drawbridge/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type {
  ContextConfigDefault,
  FastifyBaseLogger,
  FastifyInstance,
  FastifyRequest,
  FastifySchema,
  FastifyTypeProvider,
  FastifyTypeProviderDefault,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerBase,
  RawServerDefault,
  RequestGenericInterface,
} from 'fastify';
import type { WebSocket, WebSocketServer } from 'ws';
import type { InjectWSOptions } from './inject-ws.js';
import type { InvalidMessagePolicy } from './message-schema.js';

/** The options of a WebSocket route: `{ websocket: { ... } }`. */
export interface WebSocketOptions<Data = undefined, Request extends object = FastifyRequest>
  extends RouteOptions<Data, Request> {
  /**
   * What happens to a message that does not fit the `message` schema of the route: `'error'`: an 'error' event on the
   * connection tells of it (`InvalidMessage`, code `INVALID_MESSAGE`) and it is dropped; `1007` or `4400`: it closes the
   * connection with that code. Default `'error'`.
   */
  invalidMessages?: InvalidMessagePolicy;
}

/** A connection whose messages have passed the schema of its route, and are what that made of them. */
export type ValidatedConnection<Data, Received> = {
  on(event: 'message', listener: (message: Received) => void): ValidatedConnection<Data, Received>;
  once(event: 'message', listener: (message: Received) => void): ValidatedConnection<Data, Received>;
  addListener(event: 'message', listener: (message: Received) => void): ValidatedConnection<Data, Received>;
} & Connection<Data, Received>;

/** The connection that a handler gets. */
export type ConnectionOf<Data, Schema, TypeProvider extends FastifyTypeProvider> = Schema extends {
  message: infer Message;
}
  ? ValidatedConnection<
      Data,
      Message extends StandardSchemaV1
        ? StandardSchemaV1.InferOutput<Message>
        : (TypeProvider & { schema: Message })['validator']
    >
  : Connection<Data>;

/**
 * Runs when the connection is open, with the Fastify instance as `this`. What it throws or rejects with closes the connection
 * with 1011 and is reported.
 */
export type WebsocketHandler<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
  RequestGeneric extends RequestGenericInterface = RequestGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger,
  Data = undefined,
> = (
  this: FastifyInstance,
  socket: ConnectionOf<Data, SchemaCompiler, TypeProvider>,
  request: FastifyRequest<RequestGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>,
) => // biome-ignore lint/suspicious/noConfusingVoidType: what an async handler returns is nobody's business.
void | Promise<unknown>;

/** What a route may say of its `socket.data` beside `Params`, `Querystring` and the like, where all are given by hand. */
type DataOf<RouteGeneric> = RouteGeneric extends { Data: infer Data } ? Data : undefined;

declare module 'fastify' {
  interface FastifySchema {
    /**
     * What the messages of a WebSocket route are, as JSON text: a schema in the language of the route's validator (JSON Schema
     * by default), or a Standard Schema such as zod's. Handlers get what has passed, parsed.
     */
    message?: unknown;
  }

  interface RouteGenericInterface {
    Data?: unknown;
  }

  interface RouteShorthandOptions<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
    ContextConfig = ContextConfigDefault,
    SchemaCompiler extends FastifySchema = FastifySchema,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger,
  > {
    /** `true`, or the options of a WebSocket route: then `handler` is called with the open connection and the request. */
    websocket?:
      | boolean
      | WebSocketOptions<
          unknown,
          FastifyRequest<
            RouteGeneric,
            RawServer,
            RawRequest,
            NoInfer<SchemaCompiler>,
            TypeProvider,
            ContextConfig,
            Logger
          >
        >;
  }

  interface RouteOptions<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
    ContextConfig = ContextConfigDefault,
    SchemaCompiler extends FastifySchema = FastifySchema,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger,
  > {
    /** Called with the open connection and the request, while `handler` answers ordinary HTTP requests for the same path. */
    wsHandler?: WebsocketHandler<
      RawServer,
      RawRequest,
      RouteGeneric,
      ContextConfig,
      NoInfer<SchemaCompiler>,
      TypeProvider,
      Logger
    >;
  }

  interface RouteShorthandMethod<
    RawServer extends RawServerBase = RawServerDefault,
    RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
    TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
    Logger extends FastifyBaseLogger = FastifyBaseLogger,
  > {
    // biome-ignore lint/style/useShorthandFunctionType: one more signature beside Fastify's.
    <
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema,
      InnerLogger extends Logger = Logger,
      Data = DataOf<RouteGeneric>,
    >(
      path: string,
      opts: Omit<
        RouteShorthandOptions<
          RawServer,
          RawRequest,
          RawReply,
          RouteGeneric,
          ContextConfig,
          SchemaCompiler,
          TypeProvider,
          InnerLogger
        >,
        'websocket'
      > & {
        websocket:
          | true
          | WebSocketOptions<
              Data,
              FastifyRequest<
                RouteGeneric,
                RawServer,
                RawRequest,
                NoInfer<SchemaCompiler>,
                TypeProvider,
                ContextConfig,
                InnerLogger
              >
            >;
      },
      handler: WebsocketHandler<
        RawServer,
        RawRequest,
        RouteGeneric,
        ContextConfig,
        NoInfer<SchemaCompiler>,
        TypeProvider,
        InnerLogger,
        NoInfer<Data>
      >,
    ): FastifyInstance<RawServer, RawRequest, RawReply, InnerLogger, TypeProvider>;
  }

  interface FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider> {
    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema,
      Data = DataOf<RouteGeneric>,
    >(
      opts: Omit<
        RouteOptions<
          RawServer,
          RawRequest,
          RawReply,
          RouteGeneric,
          ContextConfig,
          SchemaCompiler,
          TypeProvider,
          Logger
        >,
        'websocket' | 'handler' | 'wsHandler'
      > & {
        websocket:
          | true
          | WebSocketOptions<
              Data,
              FastifyRequest<
                RouteGeneric,
                RawServer,
                RawRequest,
                NoInfer<SchemaCompiler>,
                TypeProvider,
                ContextConfig,
                Logger
              >
            >;
        handler: WebsocketHandler<
          RawServer,
          RawRequest,
          RouteGeneric,
          ContextConfig,
          NoInfer<SchemaCompiler>,
          TypeProvider,
          Logger,
          NoInfer<Data>
        >;
        wsHandler?: never;
      },
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>;

    route<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
      ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema,
      Data = DataOf<RouteGeneric>,
    >(
      opts: Omit<
        RouteOptions<
          RawServer,
          RawRequest,
          RawReply,
          RouteGeneric,
          ContextConfig,
          SchemaCompiler,
          TypeProvider,
          Logger
        >,
        'websocket' | 'wsHandler'
      > & {
        websocket?:
          | true
          | WebSocketOptions<
              Data,
              FastifyRequest<
                RouteGeneric,
                RawServer,
                RawRequest,
                NoInfer<SchemaCompiler>,
                TypeProvider,
                ContextConfig,
                Logger
              >
            >;
        wsHandler: WebsocketHandler<
          RawServer,
          RawRequest,
          RouteGeneric,
          ContextConfig,
          NoInfer<SchemaCompiler>,
          TypeProvider,
          Logger,
          NoInfer<Data>
        >;
      },
    ): FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>;

    /** Decides the upgrades of this instance's WebSocket routes; its `connections` are the open ones. */
    upgrader: Upgrader<undefined, FastifyRequest>;
    /** The open connections of this instance's WebSocket routes as `clients`, and a 'connection' event for each. */
    websocketServer: WebSocketServer;
    /**
     * Opens a WebSocket to this application without a port, with the headers of the context. Rejects with
     * `Unexpected server response: <status>` if it is refused.
     */
    injectWS: InjectWSFn<RawRequest>;
  }

  interface InjectWSOption extends InjectWSOptions {}

  type InjectWSFn<RawRequest> = (
    path?: string,
    upgradeContext?: Partial<RawRequest>,
    options?: InjectWSOption,
  ) => Promise<WebSocket>;

  interface FastifyRequest {
    /** Whether this request asks to become a WebSocket. */
    ws: boolean;
  }
}
