import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { commandLine, giveUp, localPages, page, serve } from '@drawbridge/example-gatehouse';
import { converse } from './converse.js';

const { values, positionals, port } = commandLine('[--shell | -- COMMAND ARGUMENT ...]', {
  args: process.argv.slice(2),
  options: { shell: { type: 'boolean', default: false } },
  allowPositionals: true,
});
if (values.shell && positionals.length > 0) giveUp('Give it --shell or a command, not both.');
if (values.shell) console.warn('Warning: whoever reaches this page can do all that you can do on this machine.');
const harmless = positionals.length > 0 ? positionals : ['cat', '-n'];
const command = values.shell ? [process.env.SHELL ?? 'sh'] : harmless;

const server = createServer(page(new URL('../public', import.meta.url)));
const upgrader = new Upgrader({
  checkOrigin: localPages(),
  maxConnections: 16, // each is a process
  maxPayload: 8 * 1024,
  heartbeat: { interval: 54_000, timeout: 6_000 }, // pinged after 54 s of silence, given up after 60
});
upgrader.route('/command', (socket) => converse(socket, command));
upgrader.attach(server);
await serve('Command', server, upgrader, { port, host: '127.0.0.1' });
