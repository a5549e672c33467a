import type { IncomingHttpHeaders } from 'node:http';
import { DrawbridgeError } from './errors.js';

/**
 * Keeps cookies from one connection to the next, as a browser does: `CookieJar` of the package `tough-cookie`, or what
 * has these two methods of it.
 */
export interface CookieJar {
  /** The Cookie header for this URL, empty for none. */
  getCookieString(url: string): string | Promise<string>;
  /** Keeps what a Set-Cookie header says. */
  setCookie(setCookie: string, url: string, options: { ignoreError: boolean }): unknown;
}

/** Cookies to send by name, or a jar. */
export type Cookies = Readonly<Record<string, string>> | CookieJar;

/** The Cookie header; empty for none. Throws `INVALID_HEADER`. */
export async function cookieHeader(cookies: Cookies | undefined, url: URL): Promise<string> {
  if (!cookies) return '';
  if (isJar(cookies)) return cookies.getCookieString(pageOf(url));
  return Object.entries(cookies).map(toPair).join('; ');
}

/** Gives the jar what the response brought. */
export async function keepCookies(
  cookies: Cookies | undefined,
  url: URL,
  headers: IncomingHttpHeaders | undefined,
): Promise<void> {
  if (!cookies || !isJar(cookies)) return;
  for (const one of headers?.['set-cookie'] ?? []) await cookies.setCookie(one, pageOf(url), { ignoreError: true });
}

export function isJar(cookies: Cookies): cookies is CookieJar {
  return typeof cookies.getCookieString === 'function';
}

function toPair([name, value]: [string, string]): string {
  if (/[=;,\s]/.test(name) || /[;,\s"\\]/.test(value)) {
    throw new DrawbridgeError('INVALID_HEADER', `The cookie ${name} holds what no cookie can; encode its value.`);
  }
  return `${name}=${value}`;
}

/** The same host's page: cookies know http and https (RFC 6455 section 4.1 shares them). */
function pageOf(url: URL): string {
  return url.href.replace(/^ws/, 'http');
}
