import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const repository = join(import.meta.dirname, '..');

it('every link of a document to a file of the repository leads to one', async () => {
  const dead: string[] = [];
  for (const document of await documents()) {
    const markdown = await readFile(join(repository, document), 'utf8');
    for (const [, target = ''] of markdown.matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)) {
      if (!existsSync(join(repository, dirname(document), target))) dead.push(`${document}: ${target}`);
    }
  }
  expect(dead).toEqual([]);
});

it('the README leads to every page of docs', async () => {
  const readme = await readFile(join(repository, 'README.md'), 'utf8');
  const pages = (await readdir(join(repository, 'docs'))).filter((name) => name.endsWith('.md'));
  expect(pages.filter((name) => !readme.includes(`](docs/${name})`))).toEqual([]);
});

async function documents(): Promise<string[]> {
  const folders = ['', 'docs', 'examples', ...(await within('packages')), ...(await within('examples'))];
  const found = await Promise.all(folders.map(within));
  return found.flat().filter((path) => path.endsWith('.md'));
}

async function within(folder: string): Promise<string[]> {
  const names = await readdir(join(repository, folder)).catch(() => []);
  return names.map((name) => join(folder, name));
}
