/** Who is measured, and what of the protocol above WebSocket they need. */
export interface Contender {
  name: string;
  /** The program in `servers/`; `go` for the one that is built from `go/`. */
  server: string;
  ours?: boolean;
  /** Only in the long form. */
  long?: boolean;
  /** For a protocol of its own on top of WebSocket. */
  dialect?: Dialect;
  /** With the native `bufferutil` beside `ws`; the others run without. */
  bufferutil?: boolean;
  /** Only in these scenarios. */
  in?: readonly string[];
  note?: string;
}

export interface Dialect {
  path: string;
  /** What the client says first, and what the server's last word before work begins contains. */
  hello: string;
  ready: string;
  /** A message that holds this many bytes of the application. */
  wrap: [before: string, after: string];
}

export const socketIo: Dialect = {
  path: '/socket.io/?EIO=4&transport=websocket',
  hello: '40',
  ready: '40{',
  wrap: ['42["m","', '"]'],
};

/** The first is what all others are compared with. */
export const contenders: Contender[] = [
  { name: 'ws by hand', server: 'ws' },
  { name: 'Drawbridge, http', server: 'core', ours: true },
  { name: 'Drawbridge, http, for await', server: 'core-loop', ours: true, in: ['echo-one', 'echo-pipelined'] },
  { name: 'Drawbridge, Express 5', server: 'core-express', ours: true },
  { name: 'Drawbridge, Fastify 5', server: 'core-fastify', ours: true },
  { name: 'Drawbridge, http, bufferutil', server: 'core', ours: true, bufferutil: true, in: ['echo-16k'] },
  { name: '@fastify/websocket', server: 'fastify-websocket' },
  { name: 'express-ws', server: 'express-ws' },
  { name: 'websocket-express', server: 'websocket-express', long: true },
  { name: 'crossws', server: 'crossws', long: true },
  {
    name: 'socket.io',
    server: 'socket-io',
    dialect: socketIo,
    long: true,
    note: 'speaks a protocol of its own on top (packets, events, acknowledgements), so it does more per message',
  },
  { name: 'raw net', server: 'net', note: 'no library at all: about the limit for JavaScript' },
  { name: 'gorilla/websocket (Go)', server: 'go', long: true, note: 'one processor (GOMAXPROCS=1), PreparedMessage' },
];
