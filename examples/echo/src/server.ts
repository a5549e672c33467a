import { fileURLToPath } from 'node:url';
import { commandLine, giveUp, run, shared } from '@drawbridge/example-gatehouse';

const hosts = {
  express: () => import('./hosts/express.js'),
  fastify: () => import('./hosts/fastify.js'),
  http: () => import('./hosts/http.js'),
};
const names = Object.keys(hosts);

const { port, values } = commandLine(`[--host ${names.join('|')}]`, {
  options: { host: { type: 'string', default: 'express' } },
});
const { host } = values;
if (!isHost(host)) giveUp(`There is no host '${host}'; --host takes ${names.join(', ')}.`);

const { listen } = await hosts[host]();
await run(`Echo on ${host}`, () => listen(port, { own: fileURLToPath(new URL('../public', import.meta.url)), shared }));

function isHost(name: string): name is keyof typeof hosts {
  return Object.hasOwn(hosts, name);
}
