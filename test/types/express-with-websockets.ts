import { createServer as createHttpsServer } from 'node:https';
import { type Connection, type RouteParams, withWebSockets } from '@drawbridge/express';
import express, { type NextFunction, type Request, type RequestHandler } from 'express';
import { same } from './same.js';

const { app, applyTo, upgrader } = withWebSockets(express());

// The path types req.params, with no, one, two and more middleware in front.
app.ws('/rooms/:room', (socket, req, next) => {
  same<Connection<undefined>>()(socket);
  same<string>()(req.params.room);
  same<NextFunction>()(next);
  // @ts-expect-error: the path has no such parameter
  req.params.other;
});
app.ws(
  '/rooms/:room',
  (req, _res, next) => {
    same<string>()(req.params.room);
    next();
  },
  async (socket, req) => socket.send(req.params.room),
);
declare const requireLogin: RequestHandler;
app.ws('/rooms/:room', requireLogin, (socket, req) => socket.send(req.params.room));
app.ws('/rooms/:room', [requireLogin, requireLogin], (socket, req) => socket.send(req.params.room));
app.ws('/rooms/:room', requireLogin, requireLogin, (socket, req) => socket.send(req.params.room));
app.ws('/rooms/:room', requireLogin, requireLogin, requireLogin, (socket: Connection, req: Request) => {
  socket.send(req.path);
});
app.ws(['/a', /^\/b+$/], (socket: Connection, req: Request) => socket.send(req.path));

// What a path declares.
same<{ room: string }>()({} as { [K in keyof RouteParams<'/rooms/:room'>]: RouteParams<'/rooms/:room'>[K] });
same<string>()({} as RouteParams<'/:from-:to'>['to']);
same<string | undefined>()({} as RouteParams<'/files/:name{.:extension}'>['extension']);
same<string | undefined>()({} as RouteParams<'/feeds/:feed?'>['feed']);
same<string[]>()({} as RouteParams<'/files/*path'>['path']);
same<Request['params']>()({} as RouteParams<string>);

// What comes back is what was given, with .ws().
app.get('/page', (_req, res) => void res.send('a page'));
const router = applyTo(express.Router());
router.ws('/:seat', (socket, req) => socket.send(req.params.seat)).get('/page', requireLogin);
app.use('/halls', router);
for (const connection of upgrader.connections) connection.close();
app.listen(0).close();

withWebSockets(express(), { server: createHttpsServer(), maxPayload: 1024, checkOrigin: (_origin, req) => req.secure });
// @ts-expect-error: no such option
withWebSockets(express(), { maxPayloud: 1024 });
// @ts-expect-error: a route needs a handler
app.ws('/none');
// @ts-expect-error: a router that was not given .ws() has none
express.Router().ws('/none', () => {});
