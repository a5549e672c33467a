import type { Connection, RouteOptions, UpgraderOptions } from '@drawbridge/core';
import { onTestFinished } from 'vitest';
import type { WebSocket } from 'ws';
import { dial } from './client.js';
import { type Host, type Site, serve } from './hosts/index.js';
import { latch } from './latch.js';
import { knock, type Wire } from './raw.js';

/** Both ends of a connection whose handler has returned. */
export interface Meeting<Client> {
  site: Site;
  client: Client;
  server: Connection<unknown>;
}

/** A connection with `ws` at the other end. */
export async function meet(host: Host, options?: RouteOptions<unknown>): Promise<Meeting<WebSocket>> {
  const { site, arrived } = await expectOne(host, options);
  const client = await dial(site, '/');
  onTestFinished(() => client.terminate());
  return { site, client, server: await arrived };
}

/** A connection whose other end says and hears nothing but what the test does. */
export async function meetWire(
  host: Host,
  options?: RouteOptions<unknown>,
  upgraderOptions?: UpgraderOptions,
): Promise<Meeting<Wire>> {
  const { site, arrived } = await expectOne(host, options, upgraderOptions);
  const client = await knock(site, { path: '/' });
  onTestFinished(() => client.reset());
  await client.response();
  return { site, client, server: await arrived };
}

/** The error that it throws or rejects with. */
export async function failureOf(action: () => unknown): Promise<{ code?: unknown; message?: string; name?: string }> {
  try {
    await action();
  } catch (error) {
    return error as { code: unknown };
  }
  throw new Error('It did not fail.');
}

async function expectOne(
  host: Host,
  options: RouteOptions<unknown> = {},
  upgraderOptions: UpgraderOptions = {},
): Promise<{ site: Site; arrived: Promise<Connection<unknown>> }> {
  const { promise, open } = latch<Connection<unknown>>();
  const site = await serve(host, { options: upgraderOptions, routes: [{ path: '/', options, handler: open }] });
  return { site, arrived: promise };
}
