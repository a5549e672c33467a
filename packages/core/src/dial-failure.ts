import { DrawbridgeError } from './errors.js';

/** How far a handshake has come, from the dialling side. */
export type Stage = 'preparing' | 'proxy' | 'connecting' | 'securing' | 'asking' | 'answered';

/** What went wrong, under a code of its own. `host` is the URL's: it names the server, and no secrets. */
export function dialFailure(cause: Error, stage: Stage, host: string): DrawbridgeError {
  const { code = '', syscall } = cause as NodeJS.ErrnoException;
  const fail = (ours: DrawbridgeError['code'], message: string) => new DrawbridgeError(ours, message, { cause });
  if (stage === 'preparing') {
    return fail('INVALID_OPTION', `With these options ${host} cannot be dialled: ${cause.message}.`);
  }
  if (stage === 'answered' || code.startsWith('HPE_')) {
    return fail('INVALID_HANDSHAKE', `${host} does not answer as a WebSocket server has to: ${cause.message}.`);
  }
  if (stage === 'proxy') {
    return fail('PROXY_FAILED', `The proxy does not lead to ${host} (${code || cause.message}); check its URL.`);
  }
  if (syscall === 'getaddrinfo' || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fail('DNS_FAILED', `${host} has no address (${code}); check the name, and the network.`);
  }
  if (code === 'ECONNREFUSED') {
    return fail('CONNECTION_REFUSED', `Nothing listens at ${host}; check the port, and whether the server runs.`);
  }
  if (stage === 'securing') {
    return fail('TLS_FAILED', `No TLS with ${host} (${code || cause.message}); give the authority it trusts as "ca".`);
  }
  return fail('CONNECTION_FAILED', `The connection to ${host} broke before an answer came (${code || cause.message}).`);
}
