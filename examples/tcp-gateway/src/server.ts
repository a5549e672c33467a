import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { Refusal, Upgrader } from '@drawbridge/core';
import { commandLine, localPages, page, serve } from '@drawbridge/example-gatehouse';
import { readAddress } from './address.js';
import { carry } from './carry.js';

const { values, port } = commandLine('[--allow HOST:PORT ...]', {
  options: { allow: { type: 'string', multiple: true, default: ['127.0.0.1:6379', '127.0.0.1:7007'] } },
});
const allowed = new Map(values.allow.map((text) => [text, readAddress(text)]));

const files = page(new URL('../public', import.meta.url));
const server = createServer((request, response) => {
  if (request.url !== '/targets') return files(request, response);
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify([...allowed.keys()]));
});
const upgrader = new Upgrader({ checkOrigin: localPages(), refusals: 'close' });

upgrader.route(
  '/tcp/:target',
  {
    // The page is let in when the target has answered, not before.
    async beforeUpgrade({ params: { target } }, { signal }) {
      const address = allowed.get(target);
      if (!address) throw new Refusal(403, { body: `${target} is not on the list of this gateway.` });
      const tcp = connect({ ...address, allowHalfOpen: true, noDelay: true, signal });
      tcp.on('error', () => {}); // carry() hears of it too
      await once(tcp, 'connect').catch(() => {
        throw new Refusal(502, { body: `${target} does not answer.` });
      });
      return tcp;
    },
  },
  (socket) => carry(socket, socket.data),
);

upgrader.attach(server);
await serve('TCP gateway', server, upgrader, { port, host: '127.0.0.1' });
