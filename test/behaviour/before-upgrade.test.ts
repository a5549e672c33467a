import { Refusal } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { echo } from './echo.js';
import { hosts, serve } from './hosts/index.js';
import { knock } from './raw.js';

describe.each(hosts)('$name: beforeUpgrade', (host) => {
  test.each([
    ['returns', (name: string) => ({ name })],
    ['resolves to', async (name: string) => ({ name })],
  ])('decides what socket.data is by what it %s', async (_name, load) => {
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          options: { beforeUpgrade: (request) => load(String(request.headers['x-user'])) },
          handler: (socket) => socket.send(JSON.stringify(socket.data)),
        },
      ],
    });
    const wire = await knock(site, { headers: { 'X-User': 'ada' } });
    expect((await wire.response()).status).toBe(101);
    expect(JSON.parse(await wire.text())).toEqual({ name: 'ada' });
  });

  test.each([
    [
      'throws',
      (refusal: Refusal) => {
        throw refusal;
      },
    ],
    ['rejects with', (refusal: Refusal) => Promise.reject(refusal)],
  ])('refuses in its own words by a Refusal that it %s', async (_name, say) => {
    const errors: unknown[] = [];
    const handled: string[] = [];
    const site = await serve(host, {
      options: { onError: (error) => errors.push(error) },
      routes: [
        {
          path: '/echo',
          options: {
            beforeUpgrade: () =>
              say(
                new Refusal(401, {
                  headers: { 'WWW-Authenticate': ['Bearer', 'Basic realm="bridge"'], 'Content-Type': 'text/html' },
                  body: '<p>log in first</p>',
                }),
              ),
          },
          handler: () => void handled.push('handler'),
        },
      ],
    });
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(401);
    expect(response.all('www-authenticate')).toEqual(['Bearer', 'Basic realm="bridge"']);
    expect(response.header('content-type')).toMatch(/^text\/html/);
    expect(response.body.toString()).toBe('<p>log in first</p>');
    expect(response.header('content-length')).toBe(String(response.body.length));
    expect(errors).toEqual([]);
    expect(handled).toEqual([]);
  });

  test('may redirect', async () => {
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          options: {
            beforeUpgrade() {
              throw new Refusal(307, { headers: { Location: '/login' }, body: '' });
            },
          },
        },
      ],
    });
    const response = await (await knock(site)).lastResponse();
    expect(response.status).toBe(307);
    expect(response.header('location')).toBe('/login');
    expect(response.header('content-length')).toBe('0');
  });

  const fault = new Error('no table called users');
  test.each([
    [
      'throws',
      () => {
        throw fault;
      },
    ],
    ['rejects', () => Promise.reject(fault)],
  ])(
    'that %s refuses with 500, is reported once with the request, and keeps its words inside',
    async (_name, beforeUpgrade) => {
      const reports: unknown[][] = [];
      const site = await serve(host, {
        options: { onError: (error, { request }) => reports.push([error, request?.headers['x-user']]) },
        routes: [{ path: '/echo', options: { beforeUpgrade } }],
      });
      const response = await (await knock(site, { headers: { 'X-User': 'ada' } })).lastResponse();
      expect(response.status).toBe(500);
      expect(response.body.toString()).not.toContain('users');
      expect(reports).toEqual([[fault, 'ada']]);
    },
  );

  test('runs after the origin was judged and before the handler', async () => {
    const order: string[] = [];
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          options: {
            async checkOrigin() {
              order.push('checkOrigin');
              return true;
            },
            async beforeUpgrade() {
              order.push('beforeUpgrade');
            },
          },
          handler: () => void order.push('handler'),
        },
      ],
    });
    await (await knock(site)).response();
    expect(order).toEqual(['checkOrigin', 'beforeUpgrade', 'handler']);
  });

  test('of the application serves the routes that have none of their own', async () => {
    const site = await serve(host, {
      options: {
        beforeUpgrade() {
          throw new Refusal(402);
        },
      },
      routes: [{ path: '/paid' }, { path: '/echo', handler: echo, options: { beforeUpgrade: () => {} } }],
    });
    expect((await (await knock(site, { path: '/paid' })).lastResponse()).status).toBe(402);
    expect((await (await knock(site)).response()).status).toBe(101);
  });
});
