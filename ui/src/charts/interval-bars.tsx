import { useRef, type ReactNode } from 'react';

import { useSize } from '../ui/size.ts';
import { linear } from './scale.ts';

export interface Interval {
  id: string;
  name: ReactNode;
  /** The estimate and its interval; `null` where there are not enough data, which is said and not drawn as zero. */
  at: { value: number; low: number; high: number } | null;
  /** What is written beside it. */
  text: string;
  tone: 'better' | 'worse' | 'unsure';
}

const COLORS = { better: 'var(--success)', worse: 'var(--failure)', unsure: 'var(--line-strong)' } as const;
const NAME_WIDTH = 220;
const TEXT_WIDTH = 200;
const ROW = 26;

/**
 * Differences with their intervals, on one axis about zero. One whose interval holds zero is hollow: it may be nothing.
 */
export function IntervalBars({ label, rows }: { label: string; rows: readonly Interval[] }) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const known = rows.flatMap(({ at }) => (at === null ? [] : [at.low, at.high, at.value]));
  const reach = Math.max(1e-9, ...known.map(Math.abs));
  const inner = Math.max(60, width - NAME_WIDTH - TEXT_WIDTH);
  const x = linear(-reach, reach, 6, inner - 6);
  return (
    <div ref={box} className="scroll-quietly overflow-x-auto">
      <table className="w-full border-collapse text-13" aria-label={label}>
        <tbody>
          {rows.map((row) => (
            <tr key={row.id} className="border-b border-line last:border-0">
              <th scope="row" style={{ width: NAME_WIDTH, maxWidth: NAME_WIDTH }} className="truncate pr-3 text-left font-normal">
                {row.name}
              </th>
              <td style={{ width: inner }}>
                <svg width={inner} height={ROW} aria-hidden="true" className="block">
                  <line x1={x(0)} x2={x(0)} y1="0" y2={ROW} stroke="var(--line-strong)" strokeDasharray="2 2" />
                  {row.at !== null && (
                    <g stroke={COLORS[row.tone]} strokeWidth="2">
                      <line x1={x(row.at.low)} x2={x(row.at.high)} y1={ROW / 2} y2={ROW / 2} />
                      <path d={`M${x(row.at.low)} ${ROW / 2 - 4}v8M${x(row.at.high)} ${ROW / 2 - 4}v8`} />
                      <circle cx={x(row.at.value)} cy={ROW / 2} r="4" fill={row.tone === 'unsure' ? 'var(--bg)' : COLORS[row.tone]} />
                    </g>
                  )}
                </svg>
              </td>
              <td style={{ width: TEXT_WIDTH }} className="pl-3 text-right font-mono text-12 whitespace-nowrap">
                {row.at === null ? <span className="font-sans text-ink-3">not enough data</span> : row.text}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
