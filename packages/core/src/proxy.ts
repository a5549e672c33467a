import type { Agent } from 'node:http';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { getProxyForUrl } from 'proxy-from-env';
import { DrawbridgeError } from './errors.js';

type Tls = Pick<ConnectionOptions, 'ca' | 'checkServerIdentity'>;

/** What `dial` gives to `ws` so that it goes through the proxy (HTTP CONNECT); nothing where none is to be used. */
export async function throughProxy(
  proxy: string | URL | undefined,
  target: URL,
  tls: Tls,
  signal: AbortSignal,
): Promise<{ agent?: Agent; checkServerIdentity?: typeof checkServerIdentity }> {
  const url = proxy === 'environment' ? proxyFromEnvironment(target) : proxy;
  if (!url) return {};
  const secure = target.protocol === 'wss:';
  const { HttpsProxyAgent } = await import('https-proxy-agent');
  /** Asks nobody else whether there is TLS behind the tunnel. */
  class Tunnel extends HttpsProxyAgent<string> {
    override isSecureEndpoint(): boolean {
      return secure;
    }
  }
  const { ca } = tls;
  const agent = new Tunnel(proxyUrl(url), { signal, ...(ca && { ca }) });
  const host = target.hostname.replace(/^\[|\]$/g, '');
  if (!isIP(host)) return { agent };
  // Over a tunnel, Node takes the name to check from the socket, which goes to the proxy; of an address nothing else tells.
  const check = tls.checkServerIdentity ?? checkServerIdentity;
  return { agent, checkServerIdentity: (_, certificate) => check(host, certificate) };
}

function proxyFromEnvironment(target: URL): string {
  return getProxyForUrl(target.href.replace(/^ws/, 'http'));
}

function proxyUrl(url: string | URL): string {
  const { href, protocol } = URL.canParse(String(url)) ? new URL(url) : { href: '', protocol: '' };
  if (protocol === 'http:' || protocol === 'https:') return href;
  throw new DrawbridgeError(
    'INVALID_OPTION',
    'proxy: give the URL of an http or https proxy, or "environment"; for any other kind give an agent.',
  );
}
