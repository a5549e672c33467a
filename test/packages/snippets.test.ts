import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';

const folder = join(import.meta.dirname, '..');
const repository = join(folder, '..');

/** What the short examples take for granted; what they declare or import themselves comes before it. */
const given = `
import * as core from '@drawbridge/core';
import * as fs from 'node:fs';
import * as streams from 'node:stream/promises';
import * as zlib from 'node:zlib';
declare global {
  const allowOrigins: typeof core.allowOrigins;
  const isUnexpectedClose: typeof core.isUnexpectedClose;
  const PreparedMessage: typeof core.PreparedMessage;
  const Refusal: typeof core.Refusal;
  const createWriteStream: typeof fs.createWriteStream;
  const pipeline: typeof streams.pipeline;
  const createGunzip: typeof zlib.createGunzip;
  const upgrader: core.Upgrader;
  const socket: core.Connection;
  const other: core.Connection;
  const third: core.Connection;
  const subscribers: Set<core.Connection>;
  const rooms: Set<string>;
  const rows: object[];
  const prices: object;
  const token: string;
  function userOf(authorization: string | undefined): Promise<{ name: string } | undefined>;
}`;

const documents = ['docs/dial.md', 'docs/from-go.md'];

test('the examples of the documents compile', async () => {
  const { default: ts } = await import('typescript5');
  const files = new Map([[join(folder, 'given.ts'), given]]);
  for (const document of documents) {
    const examples = [...(await readFile(join(repository, document), 'utf8')).matchAll(/^```ts\n(.*?)^```$/gms)];
    expect(examples.length).toBeGreaterThan(2);
    for (const [index, [, code = '']] of examples.entries()) {
      files.set(join(folder, `${basename(document)}-example-${index + 1}.ts`), `${code}\nexport {};`);
    }
  }
  const options = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleDetection: ts.ModuleDetectionKind.Force,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(folder, 'node_modules/@types'), join(repository, 'node_modules/@types')],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile: read } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file) ?? read(file);
  host.getSourceFile = (file, ...rest) => {
    const code = files.get(file);
    return code === undefined ? getSourceFile(file, ...rest) : ts.createSourceFile(file, code, options.target);
  };
  const found = ts.getPreEmitDiagnostics(ts.createProgram([...files.keys()], options, host));
  expect(ts.formatDiagnostics(found, { ...host, getNewLine: () => '\n' })).toBe('');
});
