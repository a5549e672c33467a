import type { ClientRequestArgs, IncomingHttpHeaders } from 'node:http';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Connection } from './connection.js';
import { type Cookies, cookieHeader, isJar, keepCookies } from './cookies.js';
import { Deadline } from './deadline.js';
import { DrawbridgeError } from './errors.js';
import { HandshakeRefused } from './handshake-refused.js';
import { UpgradeHeaders } from './headers.js';
import { Heartbeat } from './heartbeat.js';
import { amount, compileLife, type LifeOptions, shortestTime } from './life.js';
import { type OutgoingOptions, sendHandshake } from './outgoing-handshake.js';
import { throughProxy } from './proxy.js';
import { report } from './reporting.js';
import { checkSubprotocols } from './subprotocol.js';

/** How to trust the server, and how to be known to it: as in `tls.connect`. */
type DialTlsOptions = Pick<
  TlsOptions,
  | 'ca'
  | 'cert'
  | 'key'
  | 'pfx'
  | 'passphrase'
  | 'ciphers'
  | 'minVersion'
  | 'maxVersion'
  | 'secureContext'
  | 'rejectUnauthorized'
  | 'servername'
  | 'checkServerIdentity'
>;

/** How to reach it: as in `http.request`. */
type ReachOptions = Pick<ClientRequestArgs, 'agent' | 'createConnection' | 'lookup' | 'family' | 'localAddress'>;

export interface DialOptions extends LifeOptions, DialTlsOptions, ReachOptions {
  /** Offered in this order. A server that picks none of them, or another, is refused with `INVALID_HANDSHAKE`, as in a browser. */
  subprotocols?: readonly string[];
  /** Further headers of the handshake; a list becomes several fields. Those that make it a handshake cannot be set. */
  headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The Origin header. Default: none, as of a program that is no browser. */
  origin?: string;
  /** For the whole of it, from the name's look-up to the 101, redirects included, in milliseconds; 0: for ever. Default 10 000. */
  timeout?: number;
  /** Gives up before the connection is open; afterwards it does nothing. */
  signal?: AbortSignal;
  /**
   * The URL of an HTTP proxy (`http://user:password@proxy:3128`), asked to CONNECT; or `'environment'`: what `HTTP_PROXY`,
   * `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say. For another kind of proxy give an `agent`. Default: none.
   */
  proxy?: string | URL;
  /** Cookies to send: by name, or a `CookieJar` of the package `tough-cookie`, which also keeps those that are received. */
  cookies?: Cookies;
  /**
   * Whether a redirect is followed. `Authorization`, cookies and client certificates are for the first origin alone, and
   * from wss no redirect leads to ws. Default `false`: it rejects with `HandshakeRefused`.
   */
  followRedirects?: boolean;
  /** How many, one after the other. Default 10. */
  maxRedirects?: number;
  /** Told what a listener of the connection throws, beside the 1011 that ends it. Default: a line on `console.error`. */
  onError?: (error: unknown, context: { socket: Connection<unknown> | undefined }) => void;
}

/**
 * Opens a connection to a WebSocket server, at a `ws:`, `wss:`, `http:`, `https:` or `ws+unix:` URL. Messages that come
 * right behind the server's 101 wait for whoever asks first.
 *
 * Rejects with a `HandshakeRefused` for an HTTP answer, otherwise with an error whose `code` is `DNS_FAILED`,
 * `CONNECTION_REFUSED`, `CONNECTION_FAILED`, `TLS_FAILED`, `PROXY_FAILED`, `INVALID_HANDSHAKE`, `TOO_MANY_REDIRECTS`,
 * `DIAL_TIMEOUT`, `DIAL_ABORTED`, `INVALID_OPTION` or `INVALID_HEADER`, and with what led to it as its `cause`.
 *
 * @example
 * const socket = await dial('wss://chat.example.com/rooms/1', { subprotocols: ['v1.chat'], timeout: 5_000 });
 * socket.send('hello');
 * const answer = await socket.receive({ timeout: 1_000 });
 * socket.close();
 */
export async function dial(url: string | URL, options: DialOptions = {}): Promise<Connection> {
  const { followRedirects = false, maxRedirects = 10, timeout = 10_000, signal } = options;
  let target = webSocketUrl(url);
  let current = options;
  const deadline = new Deadline(amount('timeout', timeout), signal);
  try {
    for (let redirects = 0; ; redirects++) {
      try {
        return await dialOnce(target, current, deadline);
      } catch (error) {
        const next = followRedirects ? redirection(error, target) : undefined;
        if (!next) throw error;
        if (redirects >= maxRedirects) throw tooManyRedirects(maxRedirects, error);
        if (next.origin !== target.origin) current = withoutCredentials(current);
        target = next;
      }
    }
  } finally {
    deadline.lift();
  }
}

/** The URL in the form of its kind. Throws `INVALID_OPTION`. */
export function webSocketUrl(url: string | URL): URL {
  if (URL.canParse(String(url))) {
    const { href, hash } = new URL(url);
    const target = new URL(href.replace(/^http/, 'ws'));
    if (/^(wss?|ws\+unix):$/.test(target.protocol) && hash === '') return target;
  }
  const shown = String(url).replace(/\/\/[^/]*@/, '//');
  throw new DrawbridgeError(
    'INVALID_OPTION',
    `${shown} is no WebSocket URL; give one as "wss://host/path", without "#".`,
  );
}

async function dialOnce(target: URL, options: DialOptions, deadline: Deadline): Promise<Connection> {
  const { subprotocols = [], headers, cookies, proxy, onError } = options;
  const alive = new Set<Connection<unknown>>();
  const compiled = compileLife(options, undefined, {
    onError: (error, socket) => report(onError, error, { socket }),
    onClose: (socket) => alive.delete(socket),
  });
  checkSubprotocols(subprotocols);
  const fields = requestHeaders(headers, await deadline.hold(cookieHeader(cookies, target)));
  const tunnel = await deadline.hold(throughProxy(proxy, target, options, deadline.signal));
  const outgoing: OutgoingOptions = {
    ...pick(options, passedOn),
    ...compiled,
    ...tunnel,
    headers: fields,
    subprotocols: [...subprotocols],
    throughProxy: tunnel.agent !== undefined,
  };
  const keep = (received: IncomingHttpHeaders | undefined): Promise<void> =>
    keepCookies(cookies, target, received).catch((error: unknown) => report(onError, error, { socket: undefined }));
  try {
    const socket = await sendHandshake(target, outgoing, deadline);
    lookAfter(socket, alive, shortestTime(compiled.life));
    await keep(socket.responseHeaders);
    return socket;
  } catch (error) {
    if (error instanceof HandshakeRefused) await keep(error.headers);
    throw error;
  }
}

/** Each has a timer of its own: unlike a server's, they have little in common. */
function lookAfter(socket: Connection, alive: Set<Connection<unknown>>, time: number): void {
  if (socket.readyState === socket.CLOSED) return;
  const heartbeat = new Heartbeat(alive);
  alive.add(socket as Connection<unknown>);
  heartbeat.keep(time);
  heartbeat.start();
}

function requestHeaders(headers: DialOptions['headers'] = {}, cookie: string): OutgoingOptions['headers'] {
  const checked = new UpgradeHeaders();
  const fields: OutgoingOptions['headers'] = {};
  const cookies: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    checked.set(name, value);
    if (name.toLowerCase() === 'cookie') cookies.push(...[value].flat());
    else fields[name] = typeof value === 'string' ? value : [...value];
  }
  if (cookie) cookies.push(cookie);
  if (cookies.length > 0) fields.Cookie = cookies.join('; ');
  return fields;
}

/** Where a refusal leads to, if it leads anywhere. */
function redirection(error: unknown, target: URL): URL | undefined {
  if (!(error instanceof HandshakeRefused) || error.code !== 'HANDSHAKE_REFUSED') return undefined;
  const { location } = error.headers;
  if (![301, 302, 303, 307, 308].includes(error.status) || !location || !URL.canParse(location, target.href))
    return undefined;
  const next = new URL(location, target);
  next.hash = '';
  if (!/^(https?|wss?):$/.test(next.protocol)) return undefined;
  const to = webSocketUrl(next);
  return target.protocol === 'wss:' && to.protocol !== 'wss:' ? undefined : to;
}

/** The same for another origin, which is told nothing that the first one was meant to know. */
function withoutCredentials(options: DialOptions): DialOptions {
  const { headers = {}, cookies, ...rest } = options;
  const harmless = Object.entries(headers).filter(([name]) => !credentialHeaders.has(name.toLowerCase()));
  for (const name of clientIdentity) delete rest[name];
  return { ...rest, headers: Object.fromEntries(harmless), ...(cookies && isJar(cookies) && { cookies }) };
}

function tooManyRedirects(most: number, cause: unknown): DrawbridgeError {
  return new DrawbridgeError(
    'TOO_MANY_REDIRECTS',
    `The server redirects more than ${most} times; look where it leads to, or raise maxRedirects.`,
    { cause },
  );
}

const credentialHeaders = new Set(['authorization', 'cookie', 'host', 'proxy-authorization']);

const clientIdentity = ['cert', 'key', 'passphrase', 'pfx', 'secureContext', 'servername'] as const;

/** What `ws`, and Node behind it, is given as it is. */
const passedOn = [
  ...clientIdentity,
  'agent',
  'ca',
  'checkServerIdentity',
  'ciphers',
  'createConnection',
  'family',
  'localAddress',
  'lookup',
  'maxVersion',
  'minVersion',
  'origin',
  'rejectUnauthorized',
] as const;

function pick<Name extends keyof DialOptions>(options: DialOptions, names: readonly Name[]): Pick<DialOptions, Name> {
  const given = names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]);
  return Object.fromEntries(given) as Pick<DialOptions, Name>;
}
