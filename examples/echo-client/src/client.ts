import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { dial } from '@drawbridge/core';
import { giveUp } from '@drawbridge/example-gatehouse';

const usage = 'give it a URL, and what to say: ws://localhost:8080/echo "hello"; without that it reads lines.';

async function converse(url: string, words: string[]): Promise<void> {
  const socket = await dial(url, { timeout: 5_000 });
  process.once('SIGINT', () => socket.close(1000));

  const messages = words.length > 0 ? words : createInterface({ input: process.stdin, signal: socket.signal });
  for await (const message of messages) {
    socket.send(message);
    console.log(String(await socket.receive({ timeout: 5_000 })));
  }

  socket.close(1000);
  const { code, reason } = await socket.closed;
  if (code !== 1000) giveUp(`The server closed with ${code}${reason && ` (${reason})`}.`);
}

function commandLine(): string[] {
  try {
    return parseArgs({ allowPositionals: true }).positionals;
  } catch {
    giveUp(`There are no options; ${usage}`);
  }
}

const [url, ...words] = commandLine();
if (!url) giveUp(`Whom to call? Please ${usage}`);
await converse(url, words).catch((error: Error) => giveUp(error.message));
