// Speaks WebSocket by Node's own WebSocket: a client that does what lines of JSON on its standard input tell it to, and says
// what it sees in lines of JSON on its standard output.
import { createInterface } from 'node:readline';

let socket;
/** What has happened and was not asked for, or the one question that waits for it. */
let happened = [];
let waiting;

function happen(to, event) {
  if (to !== socket) return;
  if (!waiting) return happened.push(event);
  waiting(event);
  waiting = undefined;
}

const deeds = {
  dial({ url, subprotocols = [] }) {
    happened = [];
    const own = new WebSocket(url, subprotocols);
    socket = own;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      const kind = typeof data === 'string' ? 'text' : 'binary';
      happen(own, { event: 'message', kind, data: Buffer.from(data).toString('base64') });
    });
    socket.addEventListener('close', ({ code, reason }) => happen(own, { event: 'close', code, reason }));
    return new Promise((resolve) => {
      socket.addEventListener('open', () => {
        const { protocol, extensions } = socket;
        resolve({ event: 'open', subprotocol: protocol, compressed: extensions.includes('permessage-deflate') });
      });
      socket.addEventListener('error', () => resolve({ event: 'refused' }));
    });
  },
  next() {
    if (happened.length > 0) return happened.shift();
    return new Promise((resolve) => {
      waiting = resolve;
    });
  },
  send({ kind, data }) {
    const bytes = Buffer.from(data, 'base64');
    socket.send(kind === 'text' ? bytes.toString() : bytes);
    return { event: 'done' };
  },
  close({ code, reason }) {
    socket.close(code, reason);
    return { event: 'done' };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  console.log(JSON.stringify(await deeds[order.do](order)));
}
