import { createServer } from 'node:http';
import { allowOrigins, anyOrigin, type Connection, sameOrigin, Upgrader } from '@drawbridge/core';

const upgrader = new Upgrader();
const greet = (socket: Connection) => socket.send('welcome');

upgrader.route('/feed', { checkOrigin: allowOrigins('https://example.com', 'https://*.example.com') }, greet);

upgrader.route('/public', { checkOrigin: anyOrigin() }, greet);

const own = sameOrigin();
const partners = allowOrigins('https://*.partner.example');

upgrader.route(
  '/shared',
  {
    checkOrigin: async (origin, request, site) => (await own(origin, request, site)) || partners(origin, request, site),
  },
  greet,
);

upgrader.attach(createServer().listen(8080, '127.0.0.1'));
