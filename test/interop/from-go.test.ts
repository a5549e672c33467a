import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { goEnvironment, present } from './programs.js';

const gorilla = 'github.com/gorilla/websocket';
const installed = await present('go', 'golang-github-gorilla-websocket-dev', `${goEnvironment.GOPATH}/src/${gorilla}`);

/** Constants, variables, functions and types by their names, methods and fields behind the name of their type. */
function exportedNames(documentation: string): string[] {
  const names: string[] = [];
  let type = '';
  for (const line of documentation.split('\n')) {
    const [, struct] = /^type (\w+) struct {$/.exec(line) ?? [];
    const [, method] = /^func \(\w+ (\*?\w+\) [A-Z]\w*)\(/.exec(line) ?? [];
    const [, name] = /^(?:func|type|var) ([A-Z]\w*)/.exec(line) ?? [];
    const [, members] = /^\t([A-Z]\w*(?:, [A-Z]\w*)*) +[\w=*[(]/.exec(line) ?? [];
    if (struct) type = `${struct}.`;
    if (/^(\w.*\($|})/.test(line)) type = '';
    if (method) names.push(method.replace('*', '').replace(') ', '.'));
    else if (name) names.push(name);
    else if (members) names.push(...members.split(', ').map((member) => type + member));
  }
  return names;
}

test.skipIf(!installed)(
  'every exported name of gorilla/websocket stands in the page for those who come from Go',
  async () => {
    const documentation = execFileSync('go', ['doc', '-all', gorilla], { env: goEnvironment, encoding: 'utf8' });
    const names = exportedNames(documentation.slice(documentation.indexOf('\nCONSTANTS\n')));
    expect(names).toEqual(
      expect.arrayContaining(['PingMessage', 'Upgrader.CheckOrigin', 'Conn.ReadMessage', 'JoinMessages']),
    );
    expect(names.length).toBeGreaterThan(80);

    const page = await readFile(new URL('../../docs/from-go.md', import.meta.url), 'utf8');
    expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  },
);
