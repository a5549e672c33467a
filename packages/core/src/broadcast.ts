import type { Connection } from './connection.js';
import { Outbox } from './outbox.js';
import type { FrameEncoding, PreparedMessage } from './prepared-message.js';

type AnyConnection = Connection<unknown, unknown>;

/**
 * Sends a message once to each: those that can take the same frame share it, the others get it made for them. Gives how many.
 * All are known before the first is sent to, for what gives them may be a program that closes some.
 */
export function broadcast(
  to: Iterable<AnyConnection>,
  message: PreparedMessage,
  except: AnyConnection | undefined,
): number {
  const receivers: Iterable<AnyConnection> = to instanceof Set ? to : new Set(to);
  const groups = new Map<string, Outbox[]>();
  let encoding: FrameEncoding | undefined;
  let group: Outbox[] = [];
  let count = 0;
  for (const connection of receivers) {
    if (connection === except) continue;
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
