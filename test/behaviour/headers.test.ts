import { Refusal } from '@drawbridge/core';
import { describe, expect, test } from 'vitest';
import { echo } from './echo.js';
import { type Gate, hosts, serve } from './hosts/index.js';
import { knock, rfcAccept, textFrame } from './raw.js';

const cookies: Gate = ({ append }) => {
  append('Set-Cookie', 'a=1; HttpOnly');
  append('Set-Cookie', 'b=2; Secure');
  append('X-Served-By', 'bridge 7');
};

const unsendable: Record<string, string> = {
  'a line break': 'x\r\nSet-Cookie: stolen=1',
  'a line feed': 'x\nSet-Cookie: stolen=1',
  'a carriage return': 'x\rSet-Cookie: stolen=1',
  'a NUL': 'x\0',
  'what is no latin1': '☃',
};

describe.each(hosts)('$name: headers of the application', (host) => {
  test('that stand before the route are on the 101', async () => {
    const site = await serve(host, { routes: [{ path: '/echo', gates: [cookies], handler: echo }] });
    const wire = await knock(site);
    const response = await wire.response();
    expect(response.status).toBe(101);
    expect(response.all('set-cookie')).toEqual(['a=1; HttpOnly', 'b=2; Secure']);
    expect(response.header('x-served-by')).toBe('bridge 7');
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test('that beforeUpgrade sets are on the 101, beside the others', async () => {
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          gates: [({ append }) => append('Set-Cookie', 'a=1')],
          options: {
            async beforeUpgrade(_request, { headers }) {
              headers.append('Set-Cookie', 'b=2');
              headers.append('set-cookie', 'c=3');
              headers.set('X-Served-By', 'nobody');
              headers.set('x-served-by', 'bridge 7');
            },
          },
        },
      ],
    });
    const response = await (await knock(site)).response();
    expect(response.all('set-cookie')).toEqual(['a=1', 'b=2', 'c=3']);
    expect(response.header('x-served-by')).toBe('bridge 7');
  });

  test("cannot take the place of the handshake's own", async () => {
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          gates: [
            ({ append }) => {
              for (const [name, value] of Object.entries({
                'Sec-WebSocket-Accept': 'forged',
                'Sec-WebSocket-Protocol': 'forged',
                'Sec-WebSocket-Extensions': 'permessage-deflate',
                Connection: 'close',
                Upgrade: 'h2c',
                'Content-Length': '7',
                'Transfer-Encoding': 'chunked',
              })) {
                try {
                  append(name, value);
                } catch {}
              }
            },
          ],
          handler: echo,
        },
      ],
    });
    const wire = await knock(site);
    const response = await wire.response();
    expect(response.status).toBe(101);
    expect(response.header('sec-websocket-accept')).toBe(rfcAccept);
    expect(response.header('connection')?.toLowerCase()).toBe('upgrade');
    expect(response.header('upgrade')?.toLowerCase()).toBe('websocket');
    for (const name of ['sec-websocket-protocol', 'sec-websocket-extensions', 'content-length', 'transfer-encoding']) {
      expect(response.all(name)).toEqual([]);
    }
    wire.send(textFrame('across'));
    expect(await wire.text()).toBe('across');
  });

  test("set in beforeUpgrade in the place of the handshake's own are a coded error", async () => {
    const codes: unknown[] = [];
    const site = await serve(host, {
      routes: [
        {
          path: '/echo',
          options: {
            beforeUpgrade(_request, { headers }) {
              for (const name of ['Sec-WebSocket-Accept', 'upgrade', 'CONNECTION', 'Content-Length']) {
                codes.push(codeOf(() => headers.set(name, 'x')));
              }
            },
          },
        },
      ],
    });
    expect((await (await knock(site)).response()).status).toBe(101);
    expect(codes).toEqual(Array(4).fill('INVALID_HEADER'));
  });

  describe.each(Object.entries(unsendable))('with %s', (_name, value) => {
    test('are refused with a coded error before the route', async () => {
      const errors: unknown[] = [];
      const gate: Gate = ({ append }) => {
        try {
          append('X-Name', value);
        } catch (error) {
          errors.push(error);
          throw error;
        }
      };
      const site = await serve(host, {
        options: { onError: (error) => errors.push(error) },
        routes: [{ path: '/echo', gates: [gate] }],
      });
      const response = await (await knock(site)).lastResponse();
      expect(response.status).toBe(500);
      expect(response.all('set-cookie')).toEqual([]);
      expect(response.all('x-name')).toEqual([]);
      expect(errors[0]).toMatchObject({ code: expect.stringMatching(/^(INVALID_HEADER|ERR_INVALID_CHAR)$/) });
    });

    test('are refused with a coded error in beforeUpgrade', async () => {
      const errors: unknown[] = [];
      const site = await serve(host, {
        options: { onError: (error) => errors.push(error) },
        routes: [
          { path: '/echo', options: { beforeUpgrade: (_request, { headers }) => headers.append('X-Name', value) } },
        ],
      });
      const response = await (await knock(site)).lastResponse();
      expect(response.status).toBe(500);
      expect(response.all('set-cookie')).toEqual([]);
      expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_HEADER' })]);
    });

    test('are refused with a coded error on a Refusal', async () => {
      const errors: unknown[] = [];
      const site = await serve(host, {
        options: { onError: (error) => errors.push(error) },
        routes: [
          {
            path: '/echo',
            options: {
              beforeUpgrade() {
                throw new Refusal(401, { headers: { 'X-Name': value } });
              },
            },
          },
        ],
      });
      const response = await (await knock(site)).lastResponse();
      expect(response.status).toBe(500);
      expect(response.all('set-cookie')).toEqual([]);
      expect(errors).toEqual([expect.objectContaining({ code: 'INVALID_HEADER' })]);
    });
  });
});

function codeOf(action: () => void): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}
