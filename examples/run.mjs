// Builds one of the examples and starts it in this process: npx pnpm@12 example NAME [arguments]
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [name, ...args] = process.argv.slice(2);
const here = import.meta.dirname;
const compiler = join(here, '../node_modules/typescript/bin/tsc');

const examples = readdirSync(here)
  .map((folder) => join(here, folder))
  .filter((folder) => existsSync(join(folder, 'package.json')))
  .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) }))
  .filter(({ bin }) => bin);

const example = examples.find(({ bin }) => Object.hasOwn(bin, name ?? ''));
if (!example) {
  console.error(name ? `There is no example '${name}'; there are:` : 'Which one? There are:');
  for (const { bin, description } of examples) console.error(`  ${Object.keys(bin).join(', ')}: ${description}`);
  process.exit(1);
}

const build = spawnSync(process.execPath, [compiler, '-b', example.folder], { stdio: 'inherit' });
if (build.status !== 0) process.exit(1);

const program = join(example.folder, example.bin[name]);
process.argv = [process.execPath, program, ...args];
await import(pathToFileURL(program).href);
