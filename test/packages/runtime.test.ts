import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);

it('the tests, and the programs that they start, run on the Node of the command line', async () => {
  const { stdout } = await run('node', ['-p', 'process.version']);
  expect(process.version).toBe(stdout.trim());
});
