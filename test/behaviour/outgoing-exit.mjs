// Serves on the hosts that it is given by name. When it is told to exit, it sends to all, and does so in the same tick.
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { Upgrader } from '@drawbridge/core';
import { attach, websocket } from '@drawbridge/express';
import fastifyWebsocket from '@drawbridge/fastify';
import express from 'express';
import express4 from 'express4';
import createFastify from 'fastify';
import { generate } from 'selfsigned';

const anyPort = { host: '127.0.0.1', port: 0 };

function listen(server) {
  return new Promise((resolve) => server.listen(anyPort, () => resolve(server.address().port)));
}

function serve(server) {
  const upgrader = new Upgrader().route('/', () => {}).attach(server);
  return { server, upgrader };
}

function serveApp(app) {
  app.get(
    '/',
    websocket(() => {}),
  );
  const server = createServer(app);
  return { server, upgrader: attach(server, app) };
}

const hosts = {
  http: () => serve(createServer()),
  async https() {
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec' });
    return serve(createSecureServer({ key, cert }));
  },
  express4: () => serveApp(express4()),
  express5: () => serveApp(express()),
  async fastify5() {
    const fastify = createFastify();
    await fastify.register(fastifyWebsocket);
    fastify.get('/', { websocket: true }, () => {});
    await fastify.ready();
    return fastify;
  },
};

const sites = await Promise.all(process.argv.slice(2).map((name) => hosts[name]()));
process.send(await Promise.all(sites.map(({ server }) => listen(server))));
process.once('disconnect', () => process.exit(1));
process.once('message', () => {
  for (const { upgrader } of sites) {
    for (const socket of upgrader.connections) {
      socket.send('last');
      socket.send(Buffer.alloc(5_000));
    }
    upgrader.broadcast(upgrader.connections, 'words');
  }
  process.exit();
});
