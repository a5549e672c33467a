import { createServer } from 'node:http';
import { attach, websocket } from '@drawbridge/express';
import express from 'express';
import { createServer as createViteServer } from 'vite';

const app = express();
const server = createServer(app);

app.use(
  '/echo',
  websocket((socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  }),
);

const vite = await createViteServer({ server: { middlewareMode: true, hmr: { server } } });
app.use(vite.middlewares);

attach(server, app);
server.listen(8080);

export { vite };
