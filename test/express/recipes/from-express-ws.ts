import { withWebSockets } from '@drawbridge/express';
import express from 'express';

const { app, applyTo, upgrader } = withWebSockets(express());

app.ws('/echo', (socket) => {
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

const router = applyTo(express.Router());
router.ws('/rooms/:room', requireKey, (socket, req) => {
  socket.on('message', (data) => {
    for (const connection of upgrader.connections) connection.send(`${req.params.room}: ${data}`);
  });
});
app.use('/chat', router);

app.listen(8080);

function requireKey(req: express.Request, res: express.Response, next: express.NextFunction) {
  if (req.query.key === 'letmein') next();
  else res.status(401).send('You need a key.');
}
