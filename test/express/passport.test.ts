import { websocket } from '@drawbridge/express';
import session from 'express-session';
import passport from 'passport';
import { Strategy as BearerStrategy } from 'passport-http-bearer';
import { describe, expect, test } from 'vitest';
import { dial, exchange } from '../behaviour/client.js';
import { knock } from '../behaviour/raw.js';
import { type Served, serve, versions } from './serve.js';

interface User {
  name: string;
}

const users = new Map<string, User>([
  ['ada', { name: 'ada' }],
  ['grace', { name: 'grace' }],
]);

/** Answers each message with the name that passport has found, and the decision of `beforeUpgrade` about it. */
const whoAmI = websocket({ beforeUpgrade: (req) => (req.user as User | undefined)?.name }, (socket, req) => {
  socket.on('message', () => socket.send(`${(req.user as User).name}, decided for ${socket.data}`));
});

describe.each(versions)('$name with passport', ({ express }) => {
  describe('and its session', () => {
    async function serveLogin(): Promise<Served> {
      const authenticator = new passport.Passport();
      authenticator.serializeUser((user, done) => done(null, (user as User).name));
      authenticator.deserializeUser((name: string, done) => done(null, users.get(name) ?? false));
      const app = express();
      app.use(session({ secret: 'a secret for the tests', resave: false, saveUninitialized: false }));
      app.use(authenticator.session());
      app.get('/login/:name', (req, res, next) => {
        req.logIn(users.get(req.params.name) as User, (error) => (error ? next(error) : res.send('welcome')));
      });
      app.get('/logout', (req, res, next) => req.logOut((error) => (error ? next(error) : res.send('goodbye'))));
      app.use(
        '/private',
        (req, res, next) => (req.isAuthenticated() ? next() : res.status(401).send('log in first')),
        whoAmI,
      );
      return serve(app);
    }

    async function visit({ authority }: Served, path: string, Cookie = ''): Promise<string> {
      const response = await fetch(`http://${authority}${path}`, { headers: { Cookie } });
      await response.text();
      return response.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
    }

    test('the user is known before the decision', async () => {
      const site = await serveLogin();
      for (const name of users.keys()) {
        const socket = await dial(site, '/private', { headers: { Cookie: await visit(site, `/login/${name}`) } });
        expect(await exchange(socket, 'who am I?')).toBe(`${name}, decided for ${name}`);
        socket.close();
      }
    });

    test('who has not logged in, or has logged out, gets 401', async () => {
      const site = await serveLogin();
      const stranger = await (await knock(site, { path: '/private' })).lastResponse();
      expect([stranger.status, stranger.body.toString()]).toEqual([401, 'log in first']);
      const Cookie = await visit(site, '/login/ada');
      await visit(site, '/logout', Cookie);
      expect((await (await knock(site, { path: '/private', headers: { Cookie } })).lastResponse()).status).toBe(401);
    });
  });

  describe('and its bearer strategy', () => {
    async function serveBearer(): Promise<Served> {
      const authenticator = new passport.Passport();
      const tokens = new Map([['token-of-ada', users.get('ada') as User]]);
      authenticator.use(
        new BearerStrategy((token, done) => setImmediate(() => done(null, tokens.get(token) ?? false))),
      );
      const app = express();
      app.use('/private', authenticator.authenticate('bearer', { session: false }), whoAmI);
      return serve(app);
    }

    test('the user is known before the decision', async () => {
      const site = await serveBearer();
      const socket = await dial(site, '/private', { headers: { Authorization: 'Bearer token-of-ada' } });
      expect(await exchange(socket, 'who am I?')).toBe('ada, decided for ada');
      socket.close();
    });

    test.each([
      ['no token', {}, 401, 'Bearer realm="Users"'],
      ['a wrong token', { Authorization: 'Bearer token-of-eve' }, 401, 'Bearer realm="Users", error="invalid_token"'],
      ['two tokens', { Authorization: 'Bearer token-of-ada' }, 400, undefined],
    ])('%s is refused as it refuses any request', async (name, headers, status, challenge) => {
      const site = await serveBearer();
      const path = name === 'two tokens' ? '/private?access_token=token-of-ada' : '/private';
      const response = await (await knock(site, { path, headers })).lastResponse();
      expect([response.status, response.header('www-authenticate')]).toEqual([status, challenge]);
    });
  });
});
