import { type CheckOrigin, sameOrigin } from '@drawbridge/core';

const localHost = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/**
 * Only pages of this machine, for servers that must be safe from the rest of the web. That page and server have one host
 * says little here: anybody can let a name of theirs lead to 127.0.0.1, and their page comes from that name too.
 */
export function localPages(): CheckOrigin<object> {
  const isSameOrigin = sameOrigin();
  return (origin, request, site) => localHost.test(site.host) && isSameOrigin(origin, request, site);
}
