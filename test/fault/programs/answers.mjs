import { setTimeout as delay } from 'node:timers/promises';

let base = process.memoryUsage.rss();
let peak = base;

const sampling = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss());
}, 10).unref();

/** What every program of this folder can be asked. */
const common = {
  async memory() {
    await collectGarbage();
    return process.memoryUsage();
  },
  /** Since the last time: by then everything that is needed once should be there. */
  async peakGrowth() {
    const growth = Math.max(peak, process.memoryUsage.rss()) - base;
    await collectGarbage();
    base = process.memoryUsage.rss();
    peak = base;
    return growth;
  },
};

/** Finalisers and what they free run in later ticks. */
async function collectGarbage() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await delay(10);
  }
}

/** Listens on any port, says which, and answers questions until nobody asks any more. */
export function serveAndAnswer(server, answers = {}) {
  const known = { ...common, ...answers };
  process.on('message', async (question) => process.send(await known[question]()));
  process.once('disconnect', () => {
    clearInterval(sampling);
    // Some end by themselves then; none outlives a test that was killed.
    setTimeout(() => process.exit(1), 10_000).unref();
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2048 }, () => process.send({ port: server.address().port }));
}
