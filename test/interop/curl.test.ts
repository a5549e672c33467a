import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Refusal } from '@drawbridge/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { echo } from '../behaviour/echo.js';
import type { Plan } from '../behaviour/hosts/host.js';
import { start, variants } from './front.js';
import { present } from './programs.js';

const installed = await present('curl', 'curl');

/** What a person types in to see what a WebSocket server says. */
const upgrade = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==',
];

const plan: Plan = {
  pages: { '/page': () => 'an ordinary page' },
  routes: [
    { path: '/echo', handler: echo },
    {
      path: '/private',
      options: {
        beforeUpgrade() {
          throw new Refusal(401, { headers: { 'WWW-Authenticate': 'Bearer' }, body: 'log in first' });
        },
      },
    },
  ],
};

/** curl fails, and so does this, if a response is not whole. */
async function curl(url: string, headers: string[], ...more: string[]): Promise<{ head: string; body: string }> {
  const fields = headers.flatMap((header) => ['-H', header]);
  const { stdout } = await promisify(execFile)('curl', ['-sSik', '--max-time', '10', ...more, ...fields, url]);
  const [head = '', ...body] = stdout.split('\r\n\r\n');
  return { head, body: body.join('\r\n\r\n') };
}

describe.skipIf(!installed).each(variants)('curl, at $host.name over $scheme', (variant) => {
  let stop = async (): Promise<void> => {};
  let url: string;

  beforeAll(async () => {
    const site = await start(variant, plan);
    stop = site.stop;
    url = site.url.replace('ws', 'http');
  });
  afterAll(() => stop());

  test('sees a refusal, whole', async () => {
    const { head, body } = await curl(`${url}/private`, upgrade, '--http1.1');
    expect(head).toMatch(/^HTTP\/1\.1 401 /);
    expect(head).toMatch(/^WWW-Authenticate: Bearer\r?$/im);
    expect(body).toBe('log in first');
  });

  test('sees that a foreign Origin is refused', async () => {
    const { head, body } = await curl(`${url}/echo`, [...upgrade, 'Origin: https://evil.example'], '--http1.1');
    expect(head).toMatch(/^HTTP\/1\.1 403 /);
    expect(body).toBe('This origin may not connect here.');
  });

  test('sees which version is spoken here', async () => {
    const old = upgrade.map((header) => header.replace('Version: 13', 'Version: 8'));
    const { head } = await curl(`${url}/echo`, old, '--http1.1');
    expect(head).toMatch(/^HTTP\/1\.1 426 /);
    expect(head).toMatch(/^Sec-WebSocket-Version: 13\r?$/im);
  });

  test('gets an ordinary page, though it offers HTTP/2', async () => {
    const { head, body } = await curl(`${url}/page`, [], '--http2');
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(body).toBe('an ordinary page');
  });
});
