import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const repository = join(import.meta.dirname, '..');

/** What looks like a code in the source and is none: methods, signals, currencies of an example, codes of Node's own. */
const noCodes = /^(GET|HEAD|POST|CONNECT|SIG[A-Z]+|CHF|EUR|E[A-Z]+|EAI_[A-Z]+|ERR_.*|HPE_.*|[A-Z]+_PROXY)$/;

async function sources(): Promise<string[]> {
  const packages = await readdir(join(repository, 'packages'));
  const files = await Promise.all(
    packages.map(async (name) => {
      const folder = join(repository, 'packages', name, 'src');
      return (await readdir(folder)).filter((file) => file.endsWith('.ts')).map((file) => join(folder, file));
    }),
  );
  return Promise.all(files.flat().map((file) => readFile(file, 'utf8')));
}

/** Every quoted word in capitals. */
async function codesOfSource(): Promise<Set<string>> {
  const found = (await sources()).flatMap((source) => [...source.matchAll(/'([A-Z]{2,}(?:_[A-Z0-9]+)*)'/g)]);
  return new Set(found.map(([, code = '']) => code).filter((code) => !noCodes.test(code)));
}

/** The first column of the tables. */
async function codesOfCatalogue(): Promise<Set<string>> {
  const catalogue = await readFile(join(repository, 'docs/errors.md'), 'utf8');
  return new Set([...catalogue.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code = '']) => code));
}

test('every code that the source knows stands in the catalogue of errors, and no other', async () => {
  const [source, catalogue] = [await codesOfSource(), await codesOfCatalogue()];
  expect(source.size).toBeGreaterThan(20);
  expect([...source].filter((code) => !catalogue.has(code))).toEqual([]);
  expect([...catalogue].filter((code) => !source.has(code))).toEqual([]);
});
