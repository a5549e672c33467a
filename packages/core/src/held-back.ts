import type { PreparedMessage } from './prepared-message.js';
import type { SendCallback } from './send-callback.js';

/** Prepared messages that wait for the last fragment of another: data frames cannot come between (RFC 6455 section 5.4). */
export class HeldBack {
  /** Of all of them together. */
  bytes = 0;
  readonly messages: [PreparedMessage, SendCallback | undefined][] = [];

  put(message: PreparedMessage, done: SendCallback | undefined): void {
    this.messages.push([message, done]);
    this.bytes += message.bytes;
  }

  /** The last fragment will not come any more. */
  drop(error: Error): void {
    for (const [, done] of this.messages) done?.(error);
  }
}
