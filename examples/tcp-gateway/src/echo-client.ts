import { once } from 'node:events';
import { connect } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { giveUp } from '@drawbridge/example-gatehouse';
import { readAddress } from './address.js';

const { positionals } = parseArgs({ allowPositionals: true, strict: false });
const [target = '127.0.0.1:7007'] = positionals;

const socket = connect({ ...readAddress(target), allowHalfOpen: true });
await once(socket, 'connect').catch(() => giveUp(`Nothing listens at ${target}; is the server running?`));

// Ctrl-D ends what we say; what the server still has to say, we hear.
const said = pipeline(process.stdin, socket);
const heard = pipeline(socket, process.stdout);
await Promise.race([heard, said.then(() => heard)]).catch(() => giveUp(`${target} broke off.`));
process.stdin.destroy();
