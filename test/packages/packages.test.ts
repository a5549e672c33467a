import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { launch, noBrowser, Tab } from '../examples/browser.js';
import { present } from '../interop/programs.js';
import { Newcomer, run, snippetsIn, snippetsOf } from './newcomer.js';

const require = createRequire(import.meta.url);
const exported = { core: 'Upgrader', express: 'websocket', fastify: 'default' };
const packages = Object.keys(exported) as (keyof typeof exported)[];

const snippets = await snippetsOf('README.md');
const servers = snippets.filter(({ heading }) => heading !== 'Client');
const gettingStarted = ['docs', 'getting-started.md'];
const firstSteps = await snippetsIn('js', ...gettingStarted);
const curl = (await snippetsIn('sh', ...gettingStarted)).find(({ code }) => code.startsWith('curl'));
const noCurl = !(await present('curl', 'curl'));
const strict = { strict: true, skipLibCheck: false, module: 'nodenext', target: 'es2023' };

/** Preloaded into a program, tells the test on which port it has come to listen. */
const reportPort = `
import { Server } from 'node:net';
const { listen } = Server.prototype;
Server.prototype.listen = function (...args) {
  this.once('listening', () => process.send(this.address().port));
  return listen.apply(this, args);
};
`;

let newcomer: Newcomer;

beforeAll(async () => {
  newcomer = await Newcomer.install();
  await newcomer.write('report-port.mjs', reportPort);
});

afterAll(() => newcomer?.leave());

describe.each(packages)('the packed @drawbridge/%s', (name) => {
  const tarball = () => newcomer.tarballs.get(`@drawbridge/${name}`) as string;

  it('holds its build, its sources, its README and its licence, and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball()]);
    const entries = stdout
      .trim()
      .split('\n')
      .map((entry) => entry.replace(/^package\//, ''));
    const needed = ['package.json', 'README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];
    expect(entries).toEqual(expect.arrayContaining(needed));
    expect(entries.filter((entry) => !needed.includes(entry) && !/^(dist|src)\/./.test(entry))).toEqual([]);
  });

  it('satisfies publint', async () => {
    const { buffer } = new Uint8Array(await readFile(tarball()));
    const { messages, pkg } = await publint({ pack: { tarball: buffer } });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('satisfies Are the Types Wrong', async () => {
    const attw = join(dirname(require.resolve('@arethetypeswrong/cli/package.json')), 'dist/index.js');
    // It exits with 1, and so rejects here, on a problem that matters to ES modules and those who require() them.
    const { stdout } = await run(process.execPath, [attw, tarball(), '--profile', 'esm-only', '--format', 'json']);
    expect(JSON.parse(stdout).analysis.types).toEqual({ kind: 'included' });
  });

  it('is imported by an ES module and required by a CommonJS one, without a warning', async () => {
    await newcomer.write(
      'im.mjs',
      `import * as ours from '@drawbridge/${name}'; console.log(typeof ours.${exported[name]});`,
    );
    await newcomer.write(
      're.cjs',
      `const ours = require('@drawbridge/${name}'); console.log(typeof ours.${exported[name]});`,
    );
    for (const file of ['im.mjs', 're.cjs']) {
      const outcome = await run(process.execPath, [file], { cwd: newcomer.folder });
      expect({ file, ...outcome }).toEqual({ file, stdout: 'function\n', stderr: '' });
    }
  });
});

describe('a project that uses them', () => {
  beforeAll(async () => {
    await newcomer.write('tsconfig.json', JSON.stringify({ compilerOptions: { ...strict, outDir: 'built' } }));
    await newcomer.write('commonjs.cts', "import core = require('@drawbridge/core');\nnew core.Upgrader().close();\n");
    for (const { heading, code } of snippets) await newcomer.write(`${heading}.ts`, atAnyPort(code));
    for (const name of packages) {
      const [snippet] = await snippetsOf('packages', name, 'README.md');
      await newcomer.write(`package-${name}.ts`, snippet?.code as string);
    }
    await newcomer.compile('typescript');
  });

  it('is typed by TypeScript 5 too', async () => {
    await newcomer.compile('typescript5');
  });

  describe.each(servers)("the README's program for $heading", ({ heading }) => {
    let program: ChildProcess;
    let host: string;

    beforeAll(async () => {
      program = start('built', `${heading}.js`);
      host = await whereItListens(program);
    });

    afterAll(() => program?.kill('SIGKILL'));

    it('answers HTTP', async () => {
      const response = await fetch(`http://${host}/`);
      expect([response.status, await response.text()]).toEqual([200, 'hello\n']);
    });

    it('speaks WebSocket', async () => {
      const client = new WebSocket(`ws://${host}/rooms/lobby`, ['v0.chat', 'v1.chat'], { origin: `http://${host}` });
      await once(client, 'open');
      client.send('good evening');
      const [answer] = await once(client, 'message');
      expect([client.protocol, String(answer)]).toEqual(['v1.chat', 'lobby: good evening']);
      client.terminate();
    });

    it("serves the README's client", async () => {
      const client = await run(process.execPath, [newcomer.path('built', 'Client.js')], { env: { HOST: host } });
      expect(client).toEqual({ stdout: 'lobby: good evening\n', stderr: '' });
    });

    it('refuses with the answer of the application', async () => {
      expect(await refusal(new WebSocket(`ws://${host}/rooms/cellar`))).toEqual([404, 'No such room.']);
    });

    it("refuses another site's page", async () => {
      const [status] = await refusal(new WebSocket(`ws://${host}/rooms/lobby`, { origin: 'https://evil.example' }));
      expect(status).toBe(403);
    });

    it('closes its connections and ends on SIGTERM', async () => {
      const client = new WebSocket(`ws://${host}/rooms/lobby`);
      await once(client, 'open');
      const closed = once(client, 'close');
      const exited = once(program, 'exit');
      program.kill('SIGTERM');
      const [[closeCode], [exitCode]] = await Promise.all([closed, exited]);
      expect({ closeCode, exitCode }).toEqual({ closeCode: 1001, exitCode: 0 });
    });
  });
});

describe('a beginner who follows docs/getting-started.md', () => {
  beforeAll(async () => {
    const [page] = await snippetsIn('html', ...gettingStarted);
    await newcomer.write('page.html', page?.code as string);
  });

  describe.each(firstSteps)('on $heading', ({ heading, code }) => {
    let program: ChildProcess;
    let host: string;

    beforeAll(async () => {
      const name = `server-${heading}.js`;
      await newcomer.write(name, atAnyPort(code));
      program = start(name);
      host = await whereItListens(program);
    });

    afterAll(() => program?.kill('SIGKILL'));

    it.skipIf(noBrowser)('has a page whose words come back', async () => {
      const browser = await launch();
      try {
        const { page } = await Tab.open(browser, `http://${host}/`);
        const log = page.locator('pre');
        await log.filter({ hasText: 'open' }).waitFor();
        await page.getByRole('textbox', { name: 'Words' }).fill('good evening');
        await page.getByRole('button', { name: 'Send' }).click();
        await log.filter({ hasText: 'good evening' }).waitFor();
        expect(await log.textContent()).toBe('open\ngood evening\n');
      } finally {
        await browser.close();
      }
    });

    it.skipIf(noCurl)('sees with curl that another page is refused', async () => {
      const script = curl?.code.replace('localhost:8080', host) as string;
      const { stdout } = await run('sh', ['-c', `exec ${script}`], { timeout: 10_000 });
      expect(stdout.split('\r\n')[0]).toBe('HTTP/1.1 403 Forbidden');
    });
  });
});

/** A program of the newcomer's, in its folder. */
function start(...path: string[]): ChildProcess {
  return fork(newcomer.path(...path), {
    cwd: newcomer.folder,
    execArgv: ['--import', newcomer.path('report-port.mjs')],
  });
}

async function whereItListens(program: ChildProcess): Promise<string> {
  const gone = once(program, 'exit').then(([code]) => Promise.reject(new Error(`It ended with ${code}.`)));
  const [port] = await Promise.race([once(program, 'message'), gone]);
  return `localhost:${port}`;
}

/** The servers listen where there is room, and the client is told where that is. */
function atAnyPort(code: string): string {
  return code.replace("'ws://localhost:8080/", "'ws://' + process.env.HOST + '/").replace('8080', '0');
}

async function refusal(client: WebSocket): Promise<[status: number | undefined, body: string]> {
  const [, response]: [ClientRequest, IncomingMessage] = (await once(client, 'unexpected-response')) as never;
  return [response.statusCode, await text(response)];
}
