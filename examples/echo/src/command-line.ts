import { parseArgs } from 'node:util';

const hostNames = ['express', 'fastify', 'http'] as const;
export type HostName = (typeof hostNames)[number];

export interface CommandLine {
  host: HostName;
  /** 0 lets the system choose. */
  port: number;
}

/** Its message is one sentence, for the person who typed the arguments. */
export class UsageError extends Error {}

/** Throws `UsageError`. */
export function readCommandLine(argv: string[], environment: NodeJS.ProcessEnv): CommandLine {
  // Package managers differ in whether they keep the `--` that set these arguments apart from their own.
  const { host, port } = options(argv[0] === '--' ? argv.slice(1) : argv);
  return {
    host: hostName(host),
    port: port === undefined ? portNumber('PORT', environment.PORT || '8080') : portNumber('--port', port),
  };
}

function options(args: string[]) {
  try {
    return parseArgs({ args, options: { host: { type: 'string', default: 'express' }, port: { type: 'string' } } })
      .values;
  } catch (error) {
    const [complaint] = (error as Error).message.split(/\.\s|\n/);
    throw new UsageError(
      `${complaint?.replace(/\.$/, '')}; what there is: [--host ${hostNames.join('|')}] [--port 8080].`,
    );
  }
}

function hostName(name: string): HostName {
  const known = hostNames.find((host) => host === name);
  if (!known) throw new UsageError(`There is no host '${name}'; --host takes ${hostNames.join(', ')}.`);
  return known;
}

function portNumber(source: string, digits: string): number {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(port <= 65_535)) throw new UsageError(`${source} is '${digits}', but a port is a number from 0 to 65535.`);
  return port;
}
