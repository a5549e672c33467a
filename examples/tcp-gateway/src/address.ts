import { giveUp } from '@drawbridge/example-gatehouse';

/** Where a TCP server is. */
export interface Address {
  host: string;
  port: number;
}

/** Reads `localhost:6379`, or `[::1]:6379`, as somebody typed it. */
export function readAddress(text: string): Address {
  const [, host, digits] = /^(?:\[([\da-f:]+)\]|[\w.-]+):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= 65_535))
    giveUp(`'${text}' is no address of a TCP server; write host and port, such as localhost:6379.`);
  return { host: host ?? text.slice(0, text.lastIndexOf(':')), port };
}
