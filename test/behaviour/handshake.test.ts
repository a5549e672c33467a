import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import supertest from 'supertest';
import { describe, expect, onTestFinished, test } from 'vitest';
import { echo } from './echo.js';
import { hosts, serve } from './hosts/index.js';
import { type HandshakeChanges, knock, rfcAccept, rfcKey, textFrame, Wire } from './raw.js';

const routes = [{ path: '/echo', handler: echo }];

const accepted: Record<string, HandshakeChanges> = {
  'Connection as a list': { headers: { Connection: 'keep-alive, Upgrade' } },
  'Connection as two fields': { headers: { Connection: ['keep-alive', 'Upgrade'] } },
  'Connection in lower case': { headers: { Connection: 'upgrade' } },
  'Upgrade in mixed case': { headers: { Upgrade: 'WebSocket' } },
  'Upgrade as a list': { headers: { Upgrade: 'foo/2, websocket' } },
  'header names in lower case': {
    headers: {
      Host: null,
      Upgrade: null,
      Connection: null,
      'Sec-WebSocket-Key': null,
      'Sec-WebSocket-Version': null,
      host: 'localhost',
      upgrade: 'websocket',
      connection: 'upgrade',
      'sec-websocket-key': rfcKey,
      'sec-websocket-version': '13',
    },
  },
  'blanks around values': { headers: { 'Sec-WebSocket-Key': `  ${rfcKey} \t`, 'Sec-WebSocket-Version': ' 13 ' } },
  'an extension that nobody knows': { headers: { 'Sec-WebSocket-Extensions': 'x-unknown; level=3' } },
  'a declared body of no bytes': { headers: { 'Content-Length': '0' } },
};

const badRequests: Record<string, HandshakeChanges> = {
  'no key': { headers: { 'Sec-WebSocket-Key': null } },
  'an empty key': { headers: { 'Sec-WebSocket-Key': '' } },
  'a key of 15 bytes': { headers: { 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') } },
  'a key of 17 bytes': { headers: { 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') } },
  'a key without padding': { headers: { 'Sec-WebSocket-Key': rfcKey.slice(0, -2) } },
  'a key that is not base64': { headers: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } },
  'two keys': { headers: { 'Sec-WebSocket-Key': [rfcKey, rfcKey] } },
  'no Host': { headers: { Host: null } },
  'an empty Host': { headers: { Host: '' } },
  'two Hosts': { headers: { Host: ['one.example', 'two.example'] } },
  'a Host with a path': { headers: { Host: 'example.com/path' } },
  'a Host with userinfo': { headers: { Host: 'user@example.com' } },
  'a Host with a blank': { headers: { Host: 'example.com evil.example' } },
  'a Host whose port is no number': { headers: { Host: 'example.com:port' } },
  'HTTP/1.0': { version: '1.0' },
  'an empty subprotocol': { headers: { 'Sec-WebSocket-Protocol': '' } },
  'a subprotocol that is no token': { headers: { 'Sec-WebSocket-Protocol': 'chat, two words' } },
  'a subprotocol named twice': { headers: { 'Sec-WebSocket-Protocol': 'chat, chat' } },
  'a body': { headers: { 'Content-Length': '5' } },
  'a chunked body': { headers: { 'Transfer-Encoding': 'chunked' } },
};

const badExtensions: Record<string, string | string[]> = {
  'a parameter that nobody knows': 'permessage-deflate; nope=1',
  'a window that is too large': 'permessage-deflate; server_max_window_bits=99',
  'a parameter given twice': 'permessage-deflate; client_no_context_takeover; client_no_context_takeover',
  'a name that is no token': 'permessage deflate',
  'no name': ', permessage-deflate',
  'an open quotation': 'x-unknown; a="b',
};

const wrongVersions: Record<string, string | string[] | null> = {
  none: null,
  empty: '',
  '8': '8',
  '12': '12',
  '14': '14',
  '013': '013',
  'a list': '13, 8',
  'two fields': ['13', '8'],
  'no number': 'thirteen',
};

describe.each(hosts)('$name: the handshake', (host) => {
  test("answers the RFC's own key with the RFC's own accept", async () => {
    const site = await serve(host, { routes });
    const response = await (await knock(site)).response();
    expect(response.status).toBe(101);
    expect(response.header('upgrade')?.toLowerCase()).toBe('websocket');
    expect(response.header('connection')?.toLowerCase()).toBe('upgrade');
    expect(response.header('sec-websocket-accept')).toBe(rfcAccept);
    expect(response.all('sec-websocket-protocol')).toEqual([]);
    expect(response.all('sec-websocket-extensions')).toEqual([]);
    expect(response.all('content-length')).toEqual([]);
    expect(response.all('transfer-encoding')).toEqual([]);
  });

  test.each(Object.entries(accepted))('accepts %s', async (_name, changes) => {
    const site = await serve(host, { routes });
    const wire = await knock(site, changes);
    const response = await wire.response();
    expect(response.status).toBe(101);
    expect(response.header('sec-websocket-accept')).toBe(rfcAccept);
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test.each(Object.entries(badRequests))('refuses %s with 400', async (_name, changes) => {
    const site = await serve(host, { routes });
    const response = await (await knock(site, changes)).lastResponse();
    expect(response.status).toBe(400);
    expect(response.header('content-length')).toBe(String(response.body.length));
    expect(response.body.length).toBeGreaterThan(0);
  });

  test.each(Object.entries(wrongVersions))('refuses a version that is %s with 426', async (_name, version) => {
    const site = await serve(host, { routes });
    const response = await (await knock(site, { headers: { 'Sec-WebSocket-Version': version } })).lastResponse();
    expect(response.status).toBe(426);
    expect(response.header('sec-websocket-version')).toBe('13');
    expect(response.header('upgrade')).toBe('websocket');
    expect(response.header('content-length')).toBe(String(response.body.length));
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('refuses %s with 405', async (method) => {
    const site = await serve(host, { routes });
    const response = await (await knock(site, { method })).lastResponse();
    expect(response.status).toBe(405);
    expect(response.header('allow')).toBe('GET');
    expect(response.header('content-length')).toBe(String(response.body.length));
  });

  test('refuses HEAD with 405 and sends no body after it', async () => {
    const site = await serve(host, { routes });
    const response = await (await knock(site, { method: 'HEAD' })).lastResponse({ head: true });
    expect(response.status).toBe(405);
    expect(response.header('allow')).toBe('GET');
  });

  test('refuses so that an ordinary HTTP client can read it', async () => {
    const site = await serve(host, { routes });
    const response = await supertest(`${site.secure ? 'https' : 'http'}://${site.authority}`)
      .get('/echo')
      .disableTLSCerts()
      .set({ Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '8', 'Sec-WebSocket-Key': rfcKey });
    expect(response.status).toBe(426);
    expect(response.headers['sec-websocket-version']).toBe('13');
    expect(response.text.length).toBeGreaterThan(0);
  });

  test('may arrive byte by byte', async () => {
    const site = await serve(host, { routes });
    const wire = await Wire.open(site);
    const head = `GET /echo HTTP/1.1\r\nHost: ${site.authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`;
    for (const byte of `${head}Sec-WebSocket-Key: ${rfcKey}\r\nSec-WebSocket-Version: 13\r\n\r\n`) {
      wire.send(byte);
      await new Promise(setImmediate);
    }
    expect((await wire.response()).status).toBe(101);
  });

  test('negotiates no compression unless the application asks for it', async () => {
    const site = await serve(host, { routes });
    const wire = await knock(site, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    expect((await wire.response()).all('sec-websocket-extensions')).toEqual([]);
  });

  test('negotiates compression where the route asks for it', async () => {
    const site = await serve(host, {
      routes: [{ path: '/echo', handler: echo, options: { perMessageDeflate: true } }],
    });
    const wire = await knock(site, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    expect((await wire.response()).header('sec-websocket-extensions')).toMatch(/^permessage-deflate/);
  });

  describe.each(Object.entries(badExtensions))('extensions with %s', (_name, field) => {
    const headers = { 'Sec-WebSocket-Extensions': field };

    test.each(['http', 'close'] as const)(
      'are refused with 400 before beforeUpgrade, whether by %s or not, where the route negotiates them',
      async (refusals) => {
        const codes: string[] = [];
        const note = (message: unknown) => void codes.push((message as { code: string }).code);
        subscribe('drawbridge:upgrade:refused', note);
        onTestFinished(() => void unsubscribe('drawbridge:upgrade:refused', note));
        let asked = 0;
        const options = { perMessageDeflate: true, refusals, beforeUpgrade: () => void asked++ };
        const site = await serve(host, { routes: [{ path: '/echo', handler: echo, options }] });
        const response = await (await knock(site, { headers })).lastResponse();
        expect(response.status).toBe(400);
        expect(response.header('content-type')).toMatch(/^text\/plain/);
        expect(response.body.toString()).toContain('Sec-WebSocket-Extensions');
        expect([asked, codes]).toEqual([0, ['REFUSED_400']]);
      },
    );

    test('are no matter where the route negotiates none', async () => {
      const site = await serve(host, { routes });
      expect((await (await knock(site, { headers })).response()).status).toBe(101);
    });
  });
});
