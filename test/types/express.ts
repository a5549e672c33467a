import { createServer } from 'node:http';
import { attach, Refusal, type Upgrader, websocket } from '@drawbridge/express';
import express, { type Request, Router } from 'express';
import { same } from './same.js';

const app = express();

// The path types req.params, where Express has had a chance to tell: behind other middleware, or on app.route().
app.get(
  '/rooms/:room',
  (_req, _res, next) => next(),
  websocket((socket, req) => {
    same<string>()(req.params.room);
    same<undefined>()(socket.data);
    same<string>()(req.originalUrl);
    // @ts-expect-error: the path has no such parameter
    req.params.other;
  }),
);
app.route('/rooms/:room/users/:user').get(
  websocket({ subprotocols: ['v1.chat'], maxPayload: 1024 }, async (socket, req) => {
    same<string>()(req.params.user);
    socket.send(req.params.room);
  }),
);
// Alone on app.get, a call that returns a handler knows no path: parameters are what Express says of any request, or named.
app.get(
  '/rooms/:room',
  websocket((_socket, req) => same<Request['params']>()(req.params)),
);
app.get(
  '/rooms/:room',
  websocket((_socket, req: Request<{ room: string }>) => same<string>()(req.params.room)),
);

// What beforeUpgrade returns is socket.data.
app.route('/private/:room').get(
  websocket(
    {
      async beforeUpgrade(req, { headers }) {
        same<string>()(req.params.room);
        if (!req.get('authorization')) throw new Refusal(401);
        headers.append('Set-Cookie', 'seen=1');
        return { name: 'ada' };
      },
    },
    (socket, req) => {
      same<{ name: string }>()(socket.data);
      same<string>()(req.params.room);
    },
  ),
);

// Wherever middleware may stand.
app.use(websocket((socket, req) => socket.send(req.path)));
app.use(
  '/echo',
  websocket((socket, req) => socket.send(req.path)),
);
app.use(
  '/admin',
  Router().get(
    '/rooms',
    websocket((socket, { baseUrl }) => socket.send(baseUrl)),
  ),
);

const upgrader = attach(app.listen(0), app, {
  checkOrigin: (origin, req) => origin === `https://${req.hostname}`,
  subprotocols: (offered, req) => offered.find((one) => one === req.query.protocol),
  handshakeTimeout: 5_000,
});
same<Promise<void>>()(upgrader.close());
attach(createServer(app), app) satisfies Upgrader<undefined, Request>;

// @ts-expect-error: the application is what the upgrades go through
attach(app.listen(0));
// @ts-expect-error: the server comes first
attach(app, app.listen(0));
// @ts-expect-error: no such option
attach(app.listen(0), app, { maxPayloud: 1024 });
// @ts-expect-error: an upgrade needs a handler
websocket({ maxPayload: 1024 });
// @ts-expect-error: the time for the handshake is the server's, not a route's
websocket({ handshakeTimeout: 1_000 }, () => {});
// @ts-expect-error: bytes are a number
websocket({ maxPayload: '1 MiB' }, () => {});
