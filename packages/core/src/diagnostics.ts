import { channel } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { CloseInfo } from './closing.js';
import type { Connection } from './connection.js';

/**
 * What is told on `node:diagnostics_channel`, channel by channel. Nobody subscribed: nothing is made, nothing is spent.
 * Requests are given as they are, so a subscriber that writes them down has to leave out what is secret in their headers.
 */
export interface DiagnosticsMessages {
  /** An upgrade has arrived that is ours to decide. */
  'drawbridge:upgrade:start': { request: IncomingMessage };
  /** It got an HTTP answer instead; `code` says why, and is `APPLICATION` where the application answered by itself. */
  'drawbridge:upgrade:refused': { request: IncomingMessage; status: number; code: string };
  /** It became a connection. */
  'drawbridge:upgrade:accepted': { request: IncomingMessage; socket: Connection<unknown> };
  /** A connection has ended. `duration` in milliseconds; bytes as they were on the wire, frames and handshake included. */
  'drawbridge:connection:closed': CloseInfo & {
    socket: Connection<unknown>;
    duration: number;
    bytesIn: number;
    bytesOut: number;
    messagesIn: number;
    messagesOut: number;
  };
  /** What `onError` is told. */
  'drawbridge:error': {
    error: unknown;
    request?: IncomingMessage | undefined;
    socket?: Connection<unknown> | undefined;
  };
}

class Channel<Name extends keyof DiagnosticsMessages> {
  readonly #channel;

  constructor(name: Name) {
    this.#channel = channel(name);
  }

  get heard(): boolean {
    return this.#channel.hasSubscribers;
  }

  publish(message: DiagnosticsMessages[Name]): void {
    this.#channel.publish(message);
  }
}

export const upgradeStart = new Channel('drawbridge:upgrade:start');
export const upgradeRefused = new Channel('drawbridge:upgrade:refused');
export const upgradeAccepted = new Channel('drawbridge:upgrade:accepted');
export const connectionClosed = new Channel('drawbridge:connection:closed');
export const errorReported = new Channel('drawbridge:error');
