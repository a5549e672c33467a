import { attach, Refusal, websocket } from '@drawbridge/express';
import express, { type ErrorRequestHandler } from 'express';

const app = express();

app.use(
  '/rooms',
  websocket(
    {
      beforeUpgrade(req) {
        const name = req.query.name;
        if (typeof name !== 'string') throw new Refusal(400, { body: 'Say who you are.' });
        return { name };
      },
    },
    (socket) => socket.send(`welcome, ${socket.data.name}`),
  ),
);

const errorPage: ErrorRequestHandler = (error, _req, res, _next) => {
  res.status(error.status ?? 500).json({ error: error.code ?? 'UNKNOWN', message: error.status ? error.message : '' });
};
app.use(errorPage);

attach(app.listen(8080), app, {
  onError(error, { request }) {
    console.error('WebSocket:', request?.url, error);
  },
});
