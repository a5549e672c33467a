import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Says in one sentence what is wrong, to the person at the keyboard, and ends with exit code 1. */
export function giveUp(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

/** What was typed after the name of an example, as `parseArgs` gives it, and the port. */
export type CommandLine<Config extends ParseArgsConfig> = ReturnType<typeof parseArgs<Config>> & { port: number };

/** Reads it; the port is from `--port`, from PORT, or 8080. Who typed something else is told the `usage`, and that is all. */
export function commandLine<const Config extends ParseArgsConfig>(
  usage = '',
  config: Config = {} as Config,
): CommandLine<Config> {
  const options = { port: { type: 'string' }, ...config.options } as const;
  const read = parse(`[--port 8080] ${usage}`.trim(), { ...config, options });
  const { port } = read.values as { port?: string };
  return {
    ...(read as ReturnType<typeof parseArgs<Config>>),
    port: port === undefined ? portNumber('PORT', process.env.PORT || '8080') : portNumber('--port', port),
  };
}

function parse(usage: string, config: ParseArgsConfig) {
  try {
    // Package managers differ in whether they keep the `--` that sets these arguments apart from their own.
    const given = process.argv.slice(2);
    return parseArgs({ args: given[0] === '--' ? given.slice(1) : given, ...config });
  } catch (error) {
    const [complaint] = (error as Error).message.split(/\.\s|\n/);
    giveUp(`${complaint?.replace(/\.$/, '')}; what there is: ${usage}.`);
  }
}

function portNumber(source: string, digits: string): number {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
  if (port <= 65_535) return port;
  giveUp(`${source} is '${digits}', but a port is a number from 0 to 65535.`);
}
