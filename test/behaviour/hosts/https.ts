import { createServer } from 'node:https';
import { generate } from 'selfsigned';
import { bareHost } from './bare.js';

const certificate = generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec', algorithm: 'sha256' });

export const host = bareHost('https', true, async (listener) => {
  const { private: key, cert } = await certificate;
  return createServer({ key, cert }, listener);
});
