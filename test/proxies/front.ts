import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { generate } from 'selfsigned';
import { onTestFinished } from 'vitest';

// Debian keeps servers where only root looks for them.
process.env.PATH += ':/usr/sbin';

/** A configuration as it stands on the page, and how its program is run with it. */
export interface Proxy {
  readonly name: string;
  readonly configuration: string;
  readonly launch: (configuration: string, folder: string, listener: Server) => Promise<ChildProcess>;
  /** What this program writes for its public port, and for listening on the socket that it inherits instead. */
  readonly publicPort: readonly [written: string, inherited: (port: number) => string];
}

/** A proxy that runs; `ca` is what to trust. */
export interface Front {
  readonly port: number;
  readonly ca: string;
}

const page = join(import.meta.dirname, '../../docs/origins-and-proxies.md');
const configurations = [...(await readFile(page, 'utf8')).matchAll(/^```(?:nginx|haproxy)\n(.*?)^```$/gms)];
const [nginxBlock = '', haproxyBlock = '', terminatorBlock = ''] = configurations.map(([, block]) => block);

const nginxPort: Proxy['publicPort'] = ['listen 443 ssl', (port) => `listen 127.0.0.1:${port} ssl`];
const haproxyPort: Proxy['publicPort'] = ['bind :443 ssl', () => `bind fd@${inherited} ssl`];

export const nginx: Proxy = {
  name: 'nginx',
  configuration: nginxBlock,
  launch: launchNginx,
  publicPort: nginxPort,
};
export const haproxy: Proxy = {
  name: 'HAProxy',
  configuration: haproxyBlock,
  launch: launchHaproxy,
  publicPort: haproxyPort,
};
export const terminator: Proxy = {
  name: 'a TLS terminator',
  configuration: terminatorBlock,
  launch: launchHaproxy,
  publicPort: haproxyPort,
};

/** The same proxy with something of its configuration written differently. */
export function changed(proxy: Proxy, changes: Record<string, string>): Proxy {
  return { ...proxy, configuration: replaced(proxy.configuration, changes) };
}

/** Runs the proxy in front of an application's port, for the length of the test. */
export async function startFront(proxy: Proxy, applicationPort: number): Promise<Front> {
  const folder = await mkdtemp(join(tmpdir(), 'drawbridge-proxy-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'example.com' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'example.com' }] }],
  });
  await writeFile(join(folder, 'fullchain.pem'), cert);
  await writeFile(join(folder, 'privkey.pem'), key);
  await writeFile(join(folder, 'example.com.pem'), `${cert}\n${key}`);

  const listener = createServer();
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const [written, inheritedPort] = proxy.publicPort;
  const configuration = replaced(proxy.configuration, {
    [written]: inheritedPort(port),
    '127.0.0.1:8080': `127.0.0.1:${applicationPort}`,
  }).replaceAll(/\/etc\/(letsencrypt\/live\/example\.com|haproxy\/certs)/g, folder);
  const program = await proxy.launch(configuration, folder, listener);
  // Whoever connects from now on waits in the backlog until the program takes it.
  listener.close();
  await untilTestEnds(proxy, program);
  return { port, ca: cert };
}

/** The descriptor of the socket that a program is given to listen on, so that no port has to be guessed. */
const inherited = 3;

async function launchNginx(site: string, folder: string, listener: Server): Promise<ChildProcess> {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  const main = `daemon off; pid nginx.pid; error_log stderr;
    events {}
    http { access_log off; ${temporary.join(' ')} include site.conf; }`;
  await writeFile(join(folder, 'site.conf'), site);
  await writeFile(join(folder, 'nginx.conf'), main);
  // As nginx hands its sockets to its own successor.
  const env = { ...process.env, NGINX: `${inherited};` };
  return spawn('nginx', ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], { env, stdio: handing(listener) });
}

async function launchHaproxy(configuration: string, folder: string, listener: Server): Promise<ChildProcess> {
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, configuration);
  return spawn('haproxy', ['-db', '-f', file], { stdio: handing(listener) });
}

function handing(listener: Server): ['ignore', 'ignore', 'pipe', number] {
  const { _handle: handle } = listener as unknown as { _handle: { fd: number } };
  return ['ignore', 'ignore', 'pipe', handle.fd];
}

/** Ends the program with the test. One that ended badly fails it, with what it said. */
async function untilTestEnds({ name }: Proxy, program: ChildProcess): Promise<void> {
  await once(program, 'spawn');
  const complaints = text(program.stderr as NonNullable<ChildProcess['stderr']>);
  const exited = once(program, 'exit');
  onTestFinished(async () => {
    program.kill('SIGTERM');
    const [code, signal] = await exited;
    if (code || (signal && signal !== 'SIGTERM')) {
      throw new Error(`${name} ended with ${code ?? signal}: ${await complaints}`);
    }
  });
}

function replaced(configuration: string, changes: Record<string, string>): string {
  return Object.entries(changes).reduce((text, [written, instead]) => {
    if (!text.includes(written)) throw new Error(`The configuration does not say ${JSON.stringify(written)}.`);
    return text.replaceAll(written, instead);
  }, configuration);
}
