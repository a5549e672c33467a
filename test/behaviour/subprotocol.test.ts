import { describe, expect, test } from 'vitest';
import { dial } from './client.js';
import { echo } from './echo.js';
import { hosts, serve } from './hosts/index.js';
import { knock } from './raw.js';

const offering = (protocols: string | string[]) => ({ headers: { 'Sec-WebSocket-Protocol': protocols } });

describe.each(hosts)('$name: the subprotocol', (host) => {
  test("is the first in the server's order that the client offers too", async () => {
    const seen: string[] = [];
    const handler = (socket: { protocol: string }) => void seen.push(socket.protocol);
    const site = await serve(host, {
      routes: [{ path: '/echo', handler, options: { subprotocols: ['v2.chat', 'v1.chat'] } }],
    });
    const response = await (await knock(site, offering('v0.chat, v1.chat, v2.chat'))).response();
    expect(response.status).toBe(101);
    expect(response.header('sec-websocket-protocol')).toBe('v2.chat');
    expect(seen).toEqual(['v2.chat']);
  });

  test('may be offered in several header fields', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', options: { subprotocols: ['v2.chat'] } }] });
    const response = await (await knock(site, offering(['v1.chat', 'v2.chat']))).response();
    expect(response.header('sec-websocket-protocol')).toBe('v2.chat');
  });

  test('is absent where none is common', async () => {
    const site = await serve(host, {
      routes: [{ path: '/echo', handler: echo, options: { subprotocols: ['v2.chat'] } }],
    });
    const response = await (await knock(site, offering('V2.CHAT, v3.chat'))).response();
    expect(response.status).toBe(101);
    expect(response.all('sec-websocket-protocol')).toEqual([]);
  });

  test('is absent where the server has none', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', handler: echo }] });
    const response = await (await knock(site, offering('v1.chat'))).response();
    expect(response.status).toBe(101);
    expect(response.all('sec-websocket-protocol')).toEqual([]);
  });

  test("may be one option for all of an application's routes", async () => {
    const site = await serve(host, { options: { subprotocols: ['v1.chat'] }, routes: [{ path: '/echo' }] });
    const socket = await dial(site, '/echo', { protocols: ['v1.chat'] });
    expect(socket.protocol).toBe('v1.chat');
  });

  test('may be chosen by a function, which sees what is offered and the request', async () => {
    const offers: unknown[] = [];
    const subprotocols = async (offered: readonly string[], request: { headers: Record<string, unknown> }) => {
      offers.push([...offered, request.headers['x-tenant']]);
      return offered.at(-1);
    };
    const site = await serve(host, { routes: [{ path: '/echo', options: { subprotocols } }] });
    const headers = { 'Sec-WebSocket-Protocol': 'a, b', 'X-Tenant': 'acme' };
    const response = await (await knock(site, { headers })).response();
    expect(response.header('sec-websocket-protocol')).toBe('b');
    expect(offers).toEqual([['a', 'b', 'acme']]);
  });

  test('that a function chooses without its being offered is a fault of the server', async () => {
    const errors: unknown[] = [];
    const site = await serve(host, {
      options: { onError: (error) => errors.push(error) },
      routes: [{ path: '/echo', options: { subprotocols: () => 'c' } }],
    });
    const response = await (await knock(site, offering('a, b'))).lastResponse();
    expect(response.status).toBe(500);
    expect(errors).toEqual([expect.objectContaining({ code: 'SUBPROTOCOL_NOT_OFFERED' })]);
  });

  test('function that throws is a fault of the server, and its message stays there', async () => {
    const errors: unknown[] = [];
    const fault = new Error('the password is 1234');
    const site = await serve(host, {
      options: { onError: (error) => errors.push(error) },
      routes: [{ path: '/echo', options: { subprotocols: () => Promise.reject(fault) } }],
    });
    const response = await (await knock(site, offering('a, b'))).lastResponse();
    expect(response.status).toBe(500);
    expect(response.body.toString()).not.toContain('1234');
    expect(errors).toEqual([fault]);
  });
});
