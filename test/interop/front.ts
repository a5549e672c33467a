import { once } from 'node:events';
import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { generate } from 'selfsigned';
import { anyPort, type Host, type Plan, type Site } from '../behaviour/hosts/host.js';
import { hosts } from '../behaviour/hosts/index.js';

/** A host as it is, or behind something that speaks TLS for it. */
export interface Variant {
  readonly host: Host;
  readonly scheme: 'ws' | 'wss';
}

export const variants: Variant[] = hosts.flatMap((host): Variant[] =>
  host.secure
    ? [{ host, scheme: 'wss' }]
    : [
        { host, scheme: 'ws' },
        { host, scheme: 'wss' },
      ],
);

/** The application, and where it is reached. */
export async function start({ host, scheme }: Variant, plan: Plan): Promise<{ url: string; stop(): Promise<void> }> {
  const site = await host.start(plan);
  const front = scheme === 'wss' && !host.secure ? await terminate(site) : undefined;
  return {
    url: `${scheme}://127.0.0.1:${front?.port ?? site.port}`,
    async stop() {
      await site.stop();
      front?.close();
    },
  };
}

async function terminate(site: Site): Promise<{ port: number; close(): void }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec' });
  const server = createServer({ key, cert }, (socket) => {
    const onward = connect(site.port, '127.0.0.1');
    socket.setNoDelay().on('error', () => onward.destroy());
    onward.setNoDelay().on('error', () => socket.destroy());
    // What was said last is still on its way to the client, and what the client says now is for nobody.
    onward.on('close', () => socket.resume());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await once(server.listen(anyPort), 'listening');
  return { port: (server.address() as { port: number }).port, close: () => void server.close() };
}
