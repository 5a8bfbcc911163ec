import type { StepType } from '../../api/types.ts';
import { STEP_COLOR } from '../../parts/marks.tsx';

/** The p50 of each side as a bar and the way up to its p95 as a thin line; the numbers stand beside it. The older side is hollow. */
export function PairBars({
  type,
  max,
  sides,
}: {
  type: StepType;
  /** The right end of the axis, in ms. */
  max: number;
  sides: readonly ({ p50: number | null; p95: number | null } | undefined)[];
}) {
  // In percent of the cell, so that the drawing never holds the table wider than its room.
  const x = (ms: number) => `${Math.max(0.5, (ms / max) * 99)}%`;
  const size = sides.length > 1 ? 7 : 9;
  const height = sides.length * (size + 2);
  const color = STEP_COLOR[type];
  return (
    <svg width="100%" height={height} aria-hidden="true" className="block">
      {sides.map((side, at) => {
        if (side === undefined || side.p50 === null) return null;
        const y = at * (size + 2) + 1;
        const end = x(side.p95 ?? side.p50);
        const hollow = sides.length > 1 && at === 0;
        return (
          <g key={at}>
            <line x1={x(side.p50)} x2={end} y1={y + size / 2} y2={y + size / 2} stroke={color} strokeWidth="1.5" />
            <line x1={end} x2={end} y1={y + 1} y2={y + size - 1} stroke={color} strokeWidth="1.5" />
            <rect x="0.5" y={y + 0.5} width={x(side.p50)} height={size - 1} fill={hollow ? 'var(--bg)' : color} stroke={color} />
          </g>
        );
      })}
    </svg>
  );
}
