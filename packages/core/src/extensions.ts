import type { PerMessageDeflateOptions } from 'ws';
import * as ws from 'ws';
import { Refusal } from './refusal.js';

type Offers = Record<string, object[] | undefined>;

/** Exported by `ws`, but not in its types: how it reads the header, and decides about an offer of compression (RFC 7692). */
const { extension, PerMessageDeflate } = ws as unknown as {
  extension: { parse(field: string): Offers };
  PerMessageDeflate: {
    new (options: object): { accept(offers: object[]): object };
    readonly extensionName: string;
  };
};

/**
 * Whether `ws` will take a client's Sec-WebSocket-Extensions (RFC 6455 section 9.1), asked before anything is done for the
 * client: `ws` itself looks at it no sooner than when it is given the socket. Gives the refusal.
 */
export function checkExtensions(
  field: string | undefined,
  perMessageDeflate: boolean | PerMessageDeflateOptions,
): Refusal | undefined {
  if (!perMessageDeflate || field === undefined) return undefined;
  try {
    const offers = extension.parse(field)[PerMessageDeflate.extensionName];
    if (offers)
      new PerMessageDeflate({ ...(perMessageDeflate === true ? {} : perMessageDeflate), isServer: true }).accept(
        offers,
      );
    return undefined;
  } catch (cause) {
    return new Refusal(400, {
      cause,
      body: 'Sec-WebSocket-Extensions is malformed, or asks for a compression that is not spoken here.',
    });
  }
}
