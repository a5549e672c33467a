import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { afterAll } from 'vitest';

/** A certificate for 127.0.0.1 in files, for the length of the test file; `ca` is what to trust. */
export async function certificateFiles(): Promise<{ ca: string; cert: string; key: string }> {
  const made = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const folder = await mkdtemp(join(tmpdir(), 'drawbridge-certificate-'));
  afterAll(() => rm(folder, { recursive: true }));
  const cert = join(folder, 'certificate.pem');
  const key = join(folder, 'key.pem');
  await writeFile(cert, made.cert);
  await writeFile(key, made.private, { mode: 0o600 });
  return { ca: made.cert, cert, key };
}
