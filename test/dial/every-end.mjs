// Dials in every way that ends, and then says what keeps this process alive. Its argument: where which server listens.
import { dial, reconnecting } from '@drawbridge/core';

const { echo, silent, wrong, loop, silentProxy, nobody } = JSON.parse(process.argv[2]);

const code = (promise) =>
  promise.then(
    () => 'OPEN',
    (error) => error.code,
  );
const opened = async (end) => {
  const socket = await dial(echo, { heartbeat: { interval: 20 } });
  end(socket);
  await socket.closed;
  return 'ENDED';
};
const control = new AbortController();
const link = reconnecting(echo, { onOpen: () => void link.close() });
const waiting = reconnecting(nobody, { onWait: () => void waiting.close() });

setTimeout(() => control.abort(), 20);

const ends = await Promise.all([
  code(dial(`${echo}/nowhere`)),
  code(dial(nobody)),
  code(dial(silent, { timeout: 50 })),
  code(dial(silent, { signal: control.signal })),
  code(dial(silent.replace('ws', 'wss'), { timeout: 50 })),
  code(dial(echo.replace('ws', 'wss'))),
  code(dial(wrong)),
  code(dial(loop, { followRedirects: true, maxRedirects: 2 })),
  code(dial(echo, { proxy: silentProxy, timeout: 50 })),
  code(dial('ws://localhost:1', { subprotocols: ['two words'] })),
  opened((socket) => socket.close()),
  opened((socket) => socket.terminate()),
  link.closed.then(() => 'ENDED'),
  waiting.closed.then(() => 'ENDED'),
]);

process.once('beforeExit', () => {
  console.log(JSON.stringify({ ends, alive: process.getActiveResourcesInfo().filter((one) => !/Pipe|TTY/.test(one)) }));
});
