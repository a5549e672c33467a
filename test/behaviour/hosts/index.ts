import { onTestFinished } from 'vitest';
import type { Host, Plan, Site } from './host.js';

export type { Gate, Handler, Host, Plan, Route, Site } from './host.js';

const known: Record<string, () => Promise<{ host: Host }>> = {
  http: () => import('./http.js'),
  https: () => import('./https.js'),
  express4: () => import('./express4.js'),
  express5: () => import('./express5.js'),
  fastify5: () => import('./fastify5.js'),
  naive: () => import('./naive.js'),
};

const everyHost = 'http,https,express4,express5,fastify5';

/** Those named by the environment variable `HOST` (separated by commas), or all. */
export const hosts = await Promise.all((process.env.HOST ?? everyHost).split(',').map(load));

async function load(name: string): Promise<Host> {
  const module = await known[name]?.();
  if (!module) throw new Error(`HOST names no host: ${name}; there are ${Object.keys(known).join(', ')}.`);
  return module.host;
}

/** Starts the application for the length of the test. */
export async function serve(host: Host, plan: Plan): Promise<Site> {
  const site = await host.start(plan);
  onTestFinished(() => site.stop());
  return site;
}
