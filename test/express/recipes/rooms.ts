import { attach, websocket } from '@drawbridge/express';
import express, { type Request, Router } from 'express';

const app = express();

const halls = Router({ mergeParams: true });
halls.get(
  '/seats/:seat',
  websocket((socket, req: Request<{ hall: string; seat: string }>) => {
    socket.send(`hall ${req.params.hall}, seat ${req.params.seat}`);
  }),
);
app.use('/halls/:hall', halls);

app.route('/rooms/:room').get(websocket((socket, req) => socket.send(`room ${req.params.room}`)));

app.get(
  '/feed',
  websocket((socket) => socket.send('as a WebSocket')),
  (_req, res) => {
    res.send('as a page');
  },
);

attach(app.listen(8080), app);
