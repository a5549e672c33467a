// An application that ends when it is told to, by coming to its end: no process.exit.
import { serveAndAnswer } from './answers.mjs';
import { hosts } from './hosts.mjs';

const [host, deadline] = process.argv.slice(2);

async function echo(socket) {
  for await (const message of socket) socket.send(message);
}

const { server, upgrader, stop } = await hosts[host]([['/echo', {}, echo]], {}, Number(deadline));
serveAndAnswer(server, { count: () => upgrader.connections.size });
process.once('SIGTERM', () => {
  process.disconnect();
  stop();
});
