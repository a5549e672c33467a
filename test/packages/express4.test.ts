import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Newcomer, run } from './newcomer.js';

const types = join(import.meta.dirname, '../types');
const strict = {
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  module: 'nodenext',
  target: 'es2023',
};

describe('a project on Express 4', () => {
  let newcomer: Newcomer;

  beforeAll(async () => {
    newcomer = await Newcomer.install({ express: '^4.18.0', '@types/express': '^4.17.21' });
    await newcomer.write('tsconfig.json', JSON.stringify({ compilerOptions: { ...strict, noEmit: true } }));
    const files = ['same.ts', 'express.ts', 'express-with-websockets.ts'];
    await Promise.all(files.map((name) => copyFile(join(types, name), newcomer.path(name))));
  });

  afterAll(() => newcomer?.leave());

  it('has Express 4, and its types', async () => {
    const { stdout } = await run('npm', ['ls', 'express', '@types/express'], { cwd: newcomer.folder });
    expect(stdout).toMatch(/ express@4\./);
    expect(stdout).toMatch(/ @types\/express@4\./);
    expect(stdout).not.toMatch(/express@5/);
  });

  it('is typed as one on Express 5 is', async () => {
    await newcomer.compile('typescript');
  });
});
