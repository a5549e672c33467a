import { createInterface } from 'node:readline';

/** One question or answer: a line of JSON. Servers in any language can be asked in it. */
export type Line = Record<string, unknown>;

/** Answers each line on standard input with one on standard output. */
export function answerLines(answers: Record<string, (question: Line) => Line | Promise<Line>>): void {
  createInterface({ input: process.stdin }).on('line', async (text) => {
    const question = JSON.parse(text) as Line;
    process.stdout.write(`${JSON.stringify(await answerTo(question))}\n`);
  });

  async function answerTo(question: Line): Promise<Line> {
    try {
      return (await answers[question.ask as string]?.(question)) ?? { error: `nobody answers ${question.ask}` };
    } catch (error) {
      return { error: String(error) };
    }
  }
}

/** What a process of this bench always answers: what it has cost so far. */
export const costs = {
  cpu: (): Line => {
    const { user, system } = process.cpuUsage();
    return { seconds: (user + system) / 1e6 };
  },
  /** After the garbage is gone, and the pages of young objects with it. */
  memory: async (): Promise<Line> => {
    for (let i = 0; i < 6; i++) {
      (globalThis as { gc?: () => void }).gc?.();
      await new Promise((done) => setTimeout(done, 20));
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    return { rss, heap: heapUsed + external };
  },
};
