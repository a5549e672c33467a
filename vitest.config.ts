import { defineConfig } from 'vitest/config';
import { NothingSkipped } from './test/nothing-skipped.js';

/** These start compilers, package managers, foreign programs or a browser, which would take the time that others measure. */
const demanding = ['packages', 'browser', 'examples', 'interop', 'proxies'].map(
  (folder) => `test/${folder}/**/*.test.ts`,
);

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // As most users have it. Set it to nothing to run with the native bufferutil, which is installed here.
    env: { WS_NO_BUFFER_UTIL: process.env.WS_NO_BUFFER_UTIL ?? '1' },
    reporters: process.env.CI ? ['default', new NothingSkipped()] : ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'suite',
          include: ['test/**/*.test.ts'],
          exclude: [...demanding, '**/node_modules/**'],
          maxWorkers: '100%',
        },
      },
      {
        extends: true,
        test: {
          name: 'demanding',
          include: demanding,
          exclude: ['**/node_modules/**'],
          maxWorkers: '100%',
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
