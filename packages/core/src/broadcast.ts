import type { Connection } from './connection.js';
import { Outbox } from './outbox.js';
import type { FrameEncoding, PreparedMessage } from './prepared-message.js';

/** Sends a message to each: those that can take the same frame share it, the others get it made for them. Gives how many. */
export function broadcast<Receiver extends Connection<unknown, unknown>>(
  receivers: Iterable<Receiver>,
  message: PreparedMessage,
  isExcepted: (connection: Receiver) => boolean,
): number {
  const groups = new Map<string, Outbox[]>();
  let encoding: FrameEncoding | undefined;
  let group: Outbox[] = [];
  let count = 0;
  for (const connection of receivers) {
    if (isExcepted(connection)) continue;
    count++;
    const outbox = connection.shareOrSend(message);
    if (!outbox) continue;
    if (outbox.encoding !== encoding) {
      encoding = outbox.encoding as FrameEncoding;
      group = groupOf(groups, encoding);
    }
    group.push(outbox);
  }
  for (const outboxes of groups.values()) {
    Outbox.pushToAll(outboxes, message.frame((outboxes[0] as Outbox).encoding as FrameEncoding));
  }
  return count;
}

function groupOf(groups: Map<string, Outbox[]>, encoding: FrameEncoding): Outbox[] {
  const key = encoding === 'plain' ? encoding : `${encoding.threshold} ${encoding.key}`;
  let group = groups.get(key);
  if (!group) {
    group = [];
    groups.set(key, group);
  }
  return group;
}
