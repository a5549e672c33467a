import { getHeapSnapshot } from 'node:v8';
import type { Line } from './line-protocol.js';

interface Snapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[]] } };
  nodes: number[];
  strings: string[];
}

/** What the heap consists of, from a snapshot: bytes by the name of the class, or by the kind of what has none. */
export async function heapCensus(): Promise<Line> {
  const chunks: Buffer[] = [];
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk));
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(chunks).toString()) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  const bytes: Record<string, number> = {};
  for (let i = 0; i < nodes.length; i += fields.length) {
    const kind = types[0][nodes[i + type] as number] as string;
    const label = kind === 'object' ? (strings[nodes[i + name] as number] as string) : `(${kind})`;
    bytes[label] = (bytes[label] ?? 0) + (nodes[i + size] as number);
  }
  return { bytes };
}
