import { cpus } from 'node:os';
import type { Contender } from './contenders.js';
import type { Scenario } from './scenarios.js';

/** The measures of one contender in one scenario, a round each, beside the first contender's of the same rounds. */
export interface Row {
  contender: Contender;
  scenario: Scenario;
  values: number[];
  ratios: number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** A table for each scenario: ratio to the first contender (median, lowest and highest round), and the measure itself. */
export function markdown(rows: readonly Row[], node: string, busy: ReadonlyMap<string, number>): string {
  const [cpu] = cpus();
  const date = new Date().toISOString().slice(0, 10);
  const lines = [
    `Node ${node}, ${cpus().length} × ${cpu?.model.trim()}, ${date}. Ratios within a round; 1.00 is ws by hand.`,
    '',
  ];
  for (const scenario of new Set(rows.map((row) => row.scenario))) {
    const share = busy.get(scenario.name);
    lines.push(
      `**${scenario.title}**${scenario.less ? ' (less is better)' : ''}${share ? ` – generator ${percent(share)} busy` : ''}`,
      '',
    );
    lines.push('| | ratio | lowest to highest | measured |', '|---|---:|---:|---:|');
    for (const row of rows.filter((one) => one.scenario === scenario)) lines.push(tableLine(row));
    lines.push('');
  }
  return lines.join('\n');
}

function tableLine({ contender, scenario, values, ratios }: Row): string {
  const name = contender.ours ? `**${contender.name}**` : contender.name;
  const spread = `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`;
  const measured = Math.round(median(values)).toLocaleString('en');
  return `| ${name} | ${median(ratios).toFixed(2)} | ${spread} | ${measured}${scenario.unit} |`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
