import { attach, websocket } from '@drawbridge/express';
import express from 'express';
import session from 'express-session';

declare module 'express-session' {
  interface SessionData {
    visits: number;
    lastWord: string;
  }
}

const app = express();

app.use(session({ secret: 'keyboard cat', resave: false, saveUninitialized: false }));

app.use('/count', (req, _res, next) => {
  req.session.visits = (req.session.visits ?? 0) + 1;
  next();
});

app.use(
  '/count',
  websocket(async (socket, req) => {
    socket.send(`visit ${req.session.visits}`);
    for await (const message of socket) {
      req.session.lastWord = String(message);
      req.session.save();
    }
  }),
);

app.get('/last-word', (req, res) => {
  res.send(req.session.lastWord);
});

attach(app.listen(8080), app);
