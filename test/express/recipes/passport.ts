import { attach, websocket } from '@drawbridge/express';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import { Strategy as BearerStrategy } from 'passport-http-bearer';

declare global {
  namespace Express {
    interface User {
      name: string;
    }
  }
}

const users = new Map([['ada', { name: 'ada' }]]);
const tokens = new Map([['a-token-of-ada', users.get('ada')]]);

passport.serializeUser((user, done) => done(null, user.name));
passport.deserializeUser((name: string, done) => done(null, users.get(name) ?? false));
passport.use(new BearerStrategy((token, done) => done(null, tokens.get(token) ?? false)));

const app = express();

app.get(
  '/feed',
  passport.authenticate('bearer', { session: false }),
  websocket((socket, req) => socket.send(`welcome, ${req.user?.name}`)),
);

app.use(session({ secret: 'keyboard cat', resave: false, saveUninitialized: false }), passport.session());

app.get('/login/:name', (req, res, next) => {
  const user = users.get(req.params.name);
  if (user) req.logIn(user, (error) => (error ? next(error) : res.send('logged in')));
  else res.sendStatus(404);
});

app.get(
  '/private',
  (req, res, next) => {
    if (req.isAuthenticated()) next();
    else res.status(401).send('Log in first.');
  },
  websocket((socket, req) => socket.send(`welcome, ${req.user?.name}`)),
);

attach(app.listen(8080), app);
