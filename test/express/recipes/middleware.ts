import { attach, websocket } from '@drawbridge/express';
import compression from 'compression';
import cookieParser from 'cookie-parser';
import cors from 'cors';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import helmet from 'helmet';
import morgan from 'morgan';

const app = express();

app.use(morgan('tiny'), helmet(), cors({ origin: 'https://app.example' }), compression(), cookieParser());
app.use('/echo', rateLimit({ windowMs: 60_000, limit: 5 }));

app.use(
  '/echo',
  (req, res, next) => {
    if (!req.cookies.seen) res.cookie('seen', 'yes', { httpOnly: true, sameSite: 'strict' });
    next();
  },
  websocket((socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  }),
);

attach(app.listen(8080), app);
