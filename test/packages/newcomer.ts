import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export const run = promisify(execFile);

const repository = join(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);

/** What the README tells its readers to install beside a package, each in its latest version. */
const companions = { express: '*', '@types/express': '*', fastify: '*' };

/**
 * An empty project outside of the repository, of somebody who installed the packages as they would be published and
 * typed the README's snippets into it.
 */
export class Newcomer {
  private constructor(
    readonly folder: string,
    /** Package name to the path of its tarball. */
    readonly tarballs: ReadonlyMap<string, string>,
  ) {}

  /** With other versions of what stands beside the packages, where some are named. */
  static async install(versions: Partial<typeof companions> = {}): Promise<Newcomer> {
    const folder = await mkdtemp(join(tmpdir(), 'drawbridge-newcomer-'));
    const newcomer = new Newcomer(folder, await pack(folder));
    await newcomer.#install({ ...companions, ...versions });
    return newcomer;
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  write(name: string, content: string): Promise<void> {
    return writeFile(this.path(name), content);
  }

  /** Type-checks and builds the project with the given copy of TypeScript; rejects with what the compiler says. */
  async compile(typescript: string): Promise<void> {
    const compiler = join(dirname(require.resolve(`${typescript}/package.json`)), 'bin/tsc');
    await run(process.execPath, [compiler, '-p', this.folder], { cwd: this.folder }).catch(({ stdout }) => {
      throw new Error(stdout);
    });
  }

  leave(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  async #install(theirs: typeof companions): Promise<void> {
    const ours = Object.fromEntries([...this.tarballs].map(([name, file]) => [name, `file:${file}`]));
    const manifest = { private: true, type: 'module', dependencies: { ...ours, ...theirs }, overrides: ours };
    await this.write('package.json', JSON.stringify(manifest));
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: this.folder });
  }
}

export interface Snippet {
  /** What it stands under. */
  heading: string;
  code: string;
}

/** The TypeScript snippets of a document. */
export function snippetsOf(...path: string[]): Promise<Snippet[]> {
  return snippetsIn('ts', ...path);
}

/** The snippets of a document in one language, by the name that stands at their fences. */
export async function snippetsIn(language: string, ...path: string[]): Promise<Snippet[]> {
  const document = await readFile(join(repository, ...path), 'utf8');
  const fenced = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms');
  return document.split(/^#{1,3} /m).flatMap((section) => {
    const heading = section.slice(0, section.indexOf('\n'));
    return [...section.matchAll(fenced)].map(([, code]) => ({ heading, code: code as string }));
  });
}

async function pack(folder: string): Promise<Map<string, string>> {
  const destination = join(folder, 'tarballs');
  await mkdir(destination);
  const args = ['-y', 'pnpm@12', '--filter', './packages/*', '-r', 'pack', '--json', '--pack-destination', destination];
  const { stdout } = await run('npx', args, { cwd: repository });
  const packed: { name: string; filename: string }[] = JSON.parse(stdout);
  return new Map(packed.map(({ name, filename }) => [name, filename]));
}
