import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Upgrader } from '@drawbridge/core';
import { commandLine, giveUp, page, serve } from '@drawbridge/example-gatehouse';
import { WatchedFile } from './watched-file.js';

const { positionals, port } = commandLine('[FILE]', { allowPositionals: true });
const [path = fileURLToPath(new URL('../README.md', import.meta.url)), ...others] = positionals;
if (others.length > 0) giveUp('One file at a time, please.');
const file = await WatchedFile.open(path).catch(({ message }) => giveUp(`There is nothing to show: ${message}.`));

const server = createServer(page(new URL('../public', import.meta.url)));
const upgrader = new Upgrader();

upgrader.route('/file', async (socket, { query }) => {
  let { version } = query; // which a page has already that comes back
  for (;;) {
    if (file.current.version === version) {
      await once(file, 'change', { signal: socket.signal });
    } else {
      version = file.current.version;
      socket.sendJSON(file.current);
      await socket.drained(); // a slow reader misses versions, but never the last one
    }
  }
});

upgrader.attach(server);
await serve('File watch', server, upgrader, { port });
file.close();
