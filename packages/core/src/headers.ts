import { type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import { DrawbridgeError } from './errors.js';

/** What the handshake itself writes, and what a 101 cannot carry (RFC 6455 section 4.2.2, RFC 9110 section 15.2.2). */
const reserved = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The headers that the application adds to the 101 response, such as `Set-Cookie`. Names and values are checked
 * when they are set, so nothing can split the response; the handshake's own headers cannot be set.
 *
 * @example
 * beforeUpgrade(request, { headers }) { headers.append('Set-Cookie', 'seen=1; HttpOnly; SameSite=Strict'); }
 */
export class UpgradeHeaders {
  #values = new Map<string, { name: string; values: string[] }>();

  /** Throws `INVALID_HEADER` if one of these could not be sent as it is. */
  static check(headers: Readonly<Record<string, string | readonly string[]>>): void {
    for (const [name, value] of Object.entries(headers)) {
      for (const one of typeof value === 'string' ? [value] : value) checkField(name, one);
    }
  }

  /** Adds a value beside those already there. Throws `INVALID_HEADER` for what may not stand on the 101. */
  append(name: string, value: string): void {
    checkOwn(name, value);
    const known = this.#values.get(name.toLowerCase());
    if (known) known.values.push(value);
    else this.#values.set(name.toLowerCase(), { name, values: [value] });
  }

  /** Sets the one value (or all of several), in place of those already there. Throws `INVALID_HEADER`. */
  set(name: string, value: string | readonly string[]): void {
    const values = typeof value === 'string' ? [value] : [...value];
    for (const one of values) checkOwn(name, one);
    this.#values.set(name.toLowerCase(), { name, values });
  }

  /** All values of a header, in the order they were added. */
  get(name: string): readonly string[] {
    return this.#values.get(name.toLowerCase())?.values ?? [];
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  /** Each field as a line of the response head, without the line end. */
  lines(): string[] {
    const lines: string[] = [];
    for (const { name, values } of this.#values.values()) {
      for (const value of values) lines.push(`${name}: ${value}`);
    }
    return lines;
  }
}

/** In Node since 15.4, and not in its types. */
interface RawHeaderNames {
  getRawHeaderNames(): string[];
}

/** The fields of a framework's response that may stand on the 101, as lines. Node has checked them when they were set. */
export function responseLines(response: ServerResponse): string[] {
  const lines: string[] = [];
  for (const name of (response as ServerResponse & RawHeaderNames).getRawHeaderNames()) {
    if (reserved.has(name.toLowerCase())) continue;
    const value = response.getHeader(name);
    for (const one of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${one}`);
  }
  return lines;
}

function checkOwn(name: string, value: string): void {
  if (reserved.has(String(name).toLowerCase())) {
    throw new DrawbridgeError('INVALID_HEADER', `The handshake itself sets ${name}; remove it from your headers.`);
  }
  checkField(name, value);
}

function checkField(name: string, value: string): void {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch (cause) {
    throw new DrawbridgeError(
      'INVALID_HEADER',
      `The header ${JSON.stringify(name)} holds characters that cannot be sent in HTTP (a line break, perhaps); encode its value.`,
      { cause },
    );
  }
}
