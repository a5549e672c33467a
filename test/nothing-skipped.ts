import type { Reporter, TestModule } from 'vitest/node';

/** Fails the run if a test was skipped or left to do: on CI everything that a test needs is there, so a skip is a hole. */
export class NothingSkipped implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    if (skipped.length === 0) return;
    console.error(`${skipped.length} skipped, which CI does not allow:`);
    for (const test of skipped) console.error(`  ${test.module.relativeModuleId} > ${test.fullName}`);
    process.exitCode = 1;
  }
}
