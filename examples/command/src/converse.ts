import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import type { Connection } from '@drawbridge/core';
import { ProcessGroup } from './process-group.js';

const LONGEST_MESSAGE = 8 * 1024;

/** What a terminal makes of Ctrl-C and Ctrl-D. */
const INTERRUPT = '\x03';
const END_OF_INPUT = '\x04';

/**
 * Runs a command for as long as its client is there, or until it ends by itself. To the client go the command (a text), and
 * then what the process says (binary, for it need not be text); from the client comes what is typed.
 */
export async function converse(socket: Connection, command: string[]): Promise<void> {
  const { signal } = socket;
  const group = await ProcessGroup.start(command).catch((error: Error) => error);
  if (group instanceof Error) return socket.close(1011, `it cannot be started: ${group.message}`);

  try {
    socket.send(command.join(' '));
    obey(socket, group).catch(() => {}); // how the connection ended, its signal says to everybody
    const [end] = await Promise.all([
      group.end({ signal }),
      pipeline(group.leader.stdout, (said) => show(said, socket), { signal }),
      pipeline(group.leader.stderr, (said) => show(said, socket), { signal }),
    ]);
    socket.close(1000, end);
  } finally {
    await group.stop();
  }
}

async function obey(socket: Connection, group: ProcessGroup): Promise<void> {
  const { stdin } = group.leader;
  for await (const message of socket) {
    if (message === INTERRUPT) group.kill('SIGINT');
    else if (message === END_OF_INPUT) stdin.end();
    else if (stdin.writable && !stdin.write(message)) await once(stdin, 'drain', { signal: socket.signal });
  }
}

async function show(said: AsyncIterable<Buffer>, socket: Connection): Promise<void> {
  for await (const bytes of said) {
    for (let start = 0; start < bytes.length; start += LONGEST_MESSAGE) {
      socket.send(bytes.subarray(start, start + LONGEST_MESSAGE));
    }
    await socket.drained();
  }
}
