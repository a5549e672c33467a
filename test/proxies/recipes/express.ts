import { attach, websocket } from '@drawbridge/express';
import express from 'express';

const app = express();
app.set('trust proxy', '127.0.0.1');

app.get(
  '/whoami',
  websocket((socket, req) => socket.send(`${req.ip} by ${req.protocol} to ${req.hostname}`)),
);

attach(app.listen(8080, '127.0.0.1'), app);
