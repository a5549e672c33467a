import { median, type Row } from './report.js';

const WIDTH = 860;
const LEFT = 250;
const BAR = 14;
const GAP = 5;
const TITLE = 34;

/** The ratios as bars on a logarithmic scale, scenario by scenario; readable on a light and on a dark page. */
export function chart(rows: readonly Row[]): string {
  const parts: string[] = [];
  const highest = Math.max(...rows.map(({ ratios }) => median(ratios)), 2);
  const lowest = Math.min(...rows.map(({ ratios }) => median(ratios)), 0.5);
  const scale = (ratio: number): number =>
    (Math.log(ratio / lowest) / Math.log(highest / lowest)) * (WIDTH - LEFT - 70);
  let y = 8;
  for (const scenario of new Set(rows.map((row) => row.scenario))) {
    parts.push(text(0, y + 20, `${scenario.title}${scenario.less ? ' (less is better)' : ''}`, 'title'));
    y += TITLE;
    const top = y - 4;
    for (const row of rows.filter((one) => one.scenario === scenario)) {
      const ratio = median(row.ratios);
      const kind = row.contender.ours ? 'ours' : 'peer';
      const [from, to] = [LEFT + scale(Math.min(ratio, 1)), LEFT + scale(Math.max(ratio, 1))];
      parts.push(text(LEFT - 8, y + BAR - 3, row.contender.name, `name ${kind}`));
      parts.push(
        `<rect class="${kind}" x="${from.toFixed(1)}" y="${y}" width="${Math.max(to - from, 1).toFixed(1)}" height="${BAR}" rx="2"/>`,
      );
      parts.push(text(to + 6, y + BAR - 3, ratio.toFixed(2), 'value'));
      y += BAR + GAP;
    }
    const one = (LEFT + scale(1)).toFixed(1);
    parts.push(`<line class="one" x1="${one}" x2="${one}" y1="${top}" y2="${y}"/>`);
    y += 12;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>Speed as a ratio to ws by hand, on a logarithmic scale</title>
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px } .name { text-anchor: end } .name.ours { font-weight: 600 }
  rect.ours { fill: #c2410c } rect.peer { fill: #94a3b8 } .one { stroke: #64748b; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect.ours { fill: #fb923c } rect.peer { fill: #64748b } }
</style>
${parts.join('\n')}
</svg>
`;
}

function text(x: number, y: number, content: string, kind: string): string {
  const escaped = content.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y}">${escaped}</text>`;
}
