import { createServer } from 'node:http';
import { Upgrader } from '@drawbridge/core';
import { attach, websocket } from '@drawbridge/express';
import fastifyWebsocket from '@drawbridge/fastify';
import express from 'express';
import createFastify from 'fastify';

/** Starts an application on the host of that name: its routes, each `[path, options, handler]`, and how to end it. */
export const hosts = {
  http(routes, options, deadline) {
    const server = createServer();
    const upgrader = new Upgrader(options);
    for (const route of routes) upgrader.route(...route);
    upgrader.attach(server);
    return { server, upgrader, stop: () => closeBoth(upgrader, server, deadline) };
  },
  express(routes, options, deadline) {
    const app = express();
    for (const [path, ...rest] of routes) app.get(path, websocket(...rest));
    const server = createServer(app);
    const upgrader = attach(server, app, options);
    return { server, upgrader, stop: () => closeBoth(upgrader, server, deadline) };
  },
  async fastify(routes, options, deadline) {
    // Of the time that Fastify grants, the plugin leaves a second to it.
    const fastify = createFastify({ pluginTimeout: deadline + 1_000 });
    await fastify.register(fastifyWebsocket, options);
    for (const [path, own, handler] of routes) fastify.get(path, { websocket: own }, handler);
    await fastify.ready();
    return { server: fastify.server, upgrader: fastify.upgrader, stop: () => fastify.close() };
  },
};

async function closeBoth(upgrader, server, timeout) {
  await upgrader.close({ timeout });
  server.close();
}
