import { type Connection, DrawbridgeError } from '@drawbridge/core';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/** A message that does not fit the `message` schema of its route. */
export class InvalidMessage extends DrawbridgeError {
  /** What is wrong with it, as the validator tells it: Ajv's errors, or the issues of a Standard Schema. */
  readonly issues: readonly unknown[];

  constructor(what: string, issues: readonly unknown[] = [], cause?: unknown) {
    super('INVALID_MESSAGE', `The message ${what}.`, { cause });
    this.issues = issues;
  }
}

/** Whether an invalid message is an 'error' event and dropped, or closes its connection, and with which code. */
export type InvalidMessagePolicy = 'error' | 1007 | 4400;

/** What has passed, as the validator left it, or made of it. Throws `InvalidMessage`. */
type Validate = (value: unknown) => unknown;

/** The schema of a route's messages, and what happens to those that do not fit it. */
export class MessageSchema {
  readonly #schema: unknown;
  readonly #policy: InvalidMessagePolicy;
  #validate: Validate | undefined;

  constructor(schema: unknown, policy: InvalidMessagePolicy = 'error') {
    this.#schema = schema;
    this.#policy = policy;
  }

  /** Makes it ready, by the validator compiler of the route that a request has come to if it is no Standard Schema. */
  compile(request: FastifyRequest): void {
    this.#validate ??= compile(this.#schema, request);
  }

  /** Lets a connection hand on only what fits. */
  guard(socket: Connection<unknown>): void {
    let closing = false;
    socket.decodeMessages((data, isBinary) => {
      if (closing) return undefined;
      try {
        return { value: this.#read(data, isBinary) };
      } catch (error) {
        if (!(error instanceof InvalidMessage)) throw error;
        if (this.#policy === 'error') socket.emit('error', error);
        else socket.close(this.#policy, 'invalid message');
        closing = this.#policy !== 'error';
        return undefined;
      }
    });
  }

  #read(data: unknown, isBinary: boolean): unknown {
    if (isBinary) throw new InvalidMessage('is binary; send JSON text');
    return (this.#validate as Validate)(String(data));
  }
}

function compile(schema: unknown, request: FastifyRequest): Validate {
  const parse = parserOf(request.server);
  const validate = isStandardSchema(schema) ? byStandardSchema(schema) : byRoute(schema, request);
  return (text) => validate(parse(text));
}

/** The parser of the application's JSON bodies, with what it has been told of poisoned prototypes. */
function parserOf(server: FastifyInstance): Validate {
  const { onProtoPoisoning = 'error', onConstructorPoisoning = 'error' } = server.initialConfig;
  const parse = server.getDefaultJsonParser(onProtoPoisoning, onConstructorPoisoning);
  return (text) => {
    let parsed: unknown;
    parse(undefined as never, text as string, (cause, value) => {
      if (cause) throw new InvalidMessage('is not JSON', [], cause);
      parsed = value;
    });
    return parsed;
  };
}

function isStandardSchema(schema: unknown): schema is StandardSchemaV1 {
  return typeof (schema as StandardSchemaV1 | undefined)?.['~standard']?.validate === 'function';
}

function byStandardSchema({ '~standard': { validate } }: StandardSchemaV1): Validate {
  return (value) => {
    const result = validate(value);
    if (result instanceof Promise) throw asynchronous();
    if (result.issues) throw new InvalidMessage(`is invalid: ${result.issues.map(inWords).join(', ')}`, result.issues);
    return result.value;
  };
}

function inWords({ message, path = [] }: StandardSchemaV1.Issue): string {
  const keys = path.map((step) => String(typeof step === 'object' ? step.key : step));
  return keys.length > 0 ? `${keys.join('/')}: ${message}` : message;
}

/** Validators answer as those of Fastify's requests may: by `false` and their `errors`, or by an `error` or a `value`. */
interface Verdict {
  error?: Error;
  value?: unknown;
}

function byRoute(schema: unknown, request: FastifyRequest): Validate {
  const validate = request.compileValidationSchema(schema as Record<string, unknown>, 'body');
  return (value) => {
    const verdict = validate(value) as boolean | Verdict | Promise<unknown>;
    if (verdict instanceof Promise) throw asynchronous();
    if (verdict === false) throw invalidByAjv(validate.errors ?? []);
    if (typeof verdict !== 'object') return value;
    if (verdict.error) throw new InvalidMessage(`is invalid: ${verdict.error.message}`, [verdict.error], verdict.error);
    return 'value' in verdict ? verdict.value : value;
  };
}

function invalidByAjv(errors: readonly { instancePath?: string; message?: string }[]): InvalidMessage {
  const words = errors.map(({ instancePath, message }) => [instancePath, message].filter(Boolean).join(' '));
  return new InvalidMessage(`is invalid: ${words.join(', ')}`, errors);
}

function asynchronous(): DrawbridgeError {
  return new DrawbridgeError(
    'INVALID_OPTION',
    'The message schema validates asynchronously, which messages cannot wait for; check that in the handler instead.',
  );
}
