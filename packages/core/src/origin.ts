import type { IncomingMessage } from 'node:http';
import { DrawbridgeError } from './errors.js';
import type { Site } from './site.js';

/**
 * Decides whether a page of this origin may open a WebSocket here. `origin` is the `Origin` header as it came, `undefined`
 * for a client that sent none (browsers always send it). `site` says where the request was addressed, proxies considered.
 * `false` refuses with 403; what it throws refuses with 500 and is reported, a `Refusal` as it says.
 */
export type CheckOrigin<Request extends object = IncomingMessage> = (
  origin: string | undefined,
  request: Request,
  site: Site,
) => boolean | Promise<boolean>;

interface Origin {
  scheme: string;
  host: string;
  port: string;
}

/** A serialised origin (RFC 6454 section 6.2): scheme, host, perhaps a port; no userinfo, path or second value. */
const originShape = /^([a-z][a-z\d+.-]*):\/\/(\[[\da-f:.]+\]|[a-z\d._~!$&'()*+;=%-]+)(?::(\d{1,5}))?$/;
const patternShape = /^([a-z][a-z\d+.-]*):\/\/(\*\.)?(\[[\da-f:.]+\]|[a-z\d._-]+)(?::(\d{1,5}))?$/;
const defaultPorts: Record<string, string> = { http: '80', https: '443' };

/**
 * The default policy: a page may talk to the server it came from. Host and port of `Origin` must equal those of the Host
 * header; the scheme too where the server knows its own (a TLS socket, or what a trusted proxy forwarded). A request
 * without `Origin` comes from no browser and passes. This is gorilla/websocket's default, with the scheme added.
 */
export function sameOrigin(): CheckOrigin<object> {
  return (origin, _request, site) => {
    if (origin === undefined) return true;
    // What nearly every browser sends needs no parsing: the very host, in the very form.
    if (origin === `${site.scheme ?? 'http'}://${site.host}`) return true;
    const theirs = parseOrigin(origin);
    if (!theirs || !(theirs.scheme in defaultPorts)) return false;
    if (site.scheme !== undefined && site.scheme !== theirs.scheme) return false;
    const ours = parseOrigin(`${theirs.scheme}://${site.host}`);
    return ours !== undefined && ours.host === theirs.host && ours.port === theirs.port;
  };
}

/**
 * Pages of these origins only (and clients without `Origin`, which are no browsers). Each is a whole origin, such as
 * `https://example.com` or `http://localhost:5173`; `*.` on the left stands for one or more labels, so
 * `https://*.example.com` matches `https://a.b.example.com` and neither `https://example.com` nor anything that merely
 * contains it. Throws `INVALID_ORIGIN_PATTERN`.
 *
 * @example
 * upgrader.route('/feed', { checkOrigin: allowOrigins('https://example.com', 'https://*.example.com') }, feed);
 */
export function allowOrigins(...patterns: string[]): CheckOrigin<object> {
  const exact = new Set<string>();
  const wildcards: Origin[] = [];
  for (const pattern of patterns) {
    const { wildcard, ...origin } = parsePattern(pattern);
    if (wildcard) wildcards.push(origin);
    else exact.add(serialize(origin));
  }
  return (field) => {
    if (field === undefined) return true;
    const origin = parseOrigin(field);
    if (!origin) return false;
    return exact.has(serialize(origin)) || wildcards.some((wildcard) => covers(wildcard, origin));
  };
}

/**
 * Every page of the web may connect, with the visitor's cookies. Only for what is public, or where each message carries
 * its own proof of who sent it.
 */
export function anyOrigin(): CheckOrigin<object> {
  return () => true;
}

function parseOrigin(field: string): Origin | undefined {
  const [, scheme, host, port] = originShape.exec(field.toLowerCase()) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  return { scheme, host, port: port ?? defaultPorts[scheme] ?? '' };
}

function parsePattern(pattern: string): Origin & { wildcard: boolean } {
  const [, scheme, wildcard, host, port] = patternShape.exec(String(pattern).toLowerCase()) ?? [];
  if (scheme !== undefined && host !== undefined) {
    return { scheme, host, port: port ?? defaultPorts[scheme] ?? '', wildcard: wildcard !== undefined };
  }
  throw new DrawbridgeError(
    'INVALID_ORIGIN_PATTERN',
    `${JSON.stringify(pattern)} is no origin; write scheme, host and perhaps a port, such as "https://example.com" or "https://*.example.com".`,
  );
}

function serialize({ scheme, host, port }: Origin): string {
  return `${scheme}://${host}:${port}`;
}

function covers(wildcard: Origin, origin: Origin): boolean {
  if (origin.scheme !== wildcard.scheme || origin.port !== wildcard.port) return false;
  const suffix = `.${wildcard.host}`;
  return origin.host.length > suffix.length && origin.host.endsWith(suffix) && !origin.host.startsWith('.');
}
