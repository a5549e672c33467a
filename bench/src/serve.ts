import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { heapCensus } from './heap-census.js';
import { answerLines, costs, type Line } from './line-protocol.js';

/** A contender: a server that echoes on /echo and lets its connections on /hub be broadcast to. */
export interface Contender {
  server: Server | { listen(port: number, host: string): unknown; address(): unknown; once: Server['once'] };
  broadcast?: (text: string) => void;
}

/** Listens, says where, and does what it is asked. */
export async function serve({ server, broadcast }: Contender): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server as Server, 'listening');
  answerLines({
    ...costs,
    census: heapCensus,
    broadcast: (question) => (broadcast ? bursts(question, broadcast) : {}),
  });
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
}

/** Sends `bursts` times `size` messages in one tick, `gap` milliseconds apart; tells what it has cost. */
async function bursts({ bursts, size, bytes, gap }: Line, broadcast: (text: string) => void): Promise<Line> {
  const text = 'x'.repeat(bytes as number);
  const before = costs.cpu().seconds as number;
  for (let burst = 0; burst < (bursts as number); burst++) {
    for (let i = 0; i < (size as number); i++) broadcast(text);
    await new Promise((done) => setTimeout(done, gap as number));
  }
  return { seconds: (costs.cpu().seconds as number) - before };
}
