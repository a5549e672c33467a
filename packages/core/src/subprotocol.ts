import type { IncomingMessage } from 'node:http';
import { DrawbridgeError } from './errors.js';
import { Refusal } from './refusal.js';

const tokenShape = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

/**
 * Which subprotocol to speak: a list in the server's order of preference, or a function that picks one of those the
 * client offered (`undefined`: none). Where nothing is picked the connection opens without a subprotocol, and it is the
 * client's to decide whether it can live with that; browsers that asked for one cannot.
 */
export type Subprotocols<Request extends IncomingMessage | object = IncomingMessage> =
  | readonly string[]
  | ((offered: readonly string[], request: Request) => string | undefined | Promise<string | undefined>);

/** The subprotocols a client offers, in its order (RFC 6455 section 4.1). Throws a `Refusal` 400 for what is no such list. */
export function offeredSubprotocols(request: IncomingMessage): string[] {
  const field = request.headers['sec-websocket-protocol'];
  if (field === undefined) return [];
  const offered = field.split(',').map((one) => one.trim());
  if (!offered.every((one) => tokenShape.test(one)) || new Set(offered).size !== offered.length) {
    throw new Refusal(400, { body: 'Sec-WebSocket-Protocol must be a list of different tokens.' });
  }
  return offered;
}

/** Throws `INVALID_OPTION` for a list that could never be negotiated. */
export function checkSubprotocols(subprotocols: Subprotocols<never> | undefined): void {
  if (!Array.isArray(subprotocols)) return;
  const wrong = subprotocols.find((one) => typeof one !== 'string' || !tokenShape.test(one));
  if (wrong === undefined) return;
  throw new DrawbridgeError(
    'INVALID_OPTION',
    `subprotocols: ${JSON.stringify(wrong)} is not a token; use letters, digits, "." and "-".`,
  );
}

/** The subprotocol to speak, or `undefined` for none (RFC 6455 section 4.2.2, step 5). */
export async function negotiate<Request extends object>(
  subprotocols: Exclude<Subprotocols<Request>, readonly string[]>,
  offered: readonly string[],
  request: Request,
): Promise<string | undefined> {
  const chosen = await subprotocols(offered, request);
  if (chosen === undefined || offered.includes(chosen)) return chosen;
  throw new DrawbridgeError(
    'SUBPROTOCOL_NOT_OFFERED',
    `subprotocols() chose ${JSON.stringify(chosen)}, which the client did not offer; return one of those offered, or undefined.`,
  );
}
