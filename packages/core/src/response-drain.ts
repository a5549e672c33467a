import type { ServerResponse } from 'node:http';

/**
 * Does for a response whose socket has drained what Node's server does for its own: whoever waits goes on, and
 * `writableNeedDrain` says no longer that there is something to wait for, or `pipe` would.
 */
export function drained(response: ServerResponse): void {
  if (!response.writableNeedDrain) return;
  const kNeedDrain = Object.getOwnPropertySymbols(response).find(({ description }) => description === 'kNeedDrain');
  if (kNeedDrain) Object.assign(response, { [kNeedDrain]: false });
  response.emit('drain');
}
