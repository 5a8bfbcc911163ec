import { useRef, useState } from 'react';

import { count, shareText } from '../format/index.ts';
import { useSize } from '../ui/size.ts';
import { linear, niceMax } from './scale.ts';
import { ChartTip, HiddenTable } from './series.tsx';

const LEFT = 40;
const RIGHT = 8;
const TOP = 6;
const BOTTOM = 18;

/** The tenth that holds a number of 0..1, by its edges. */
export const tenthName = (at: number): string => `${(at / 10).toFixed(1)} – ${((at + 1) / 10).toFixed(1)}`;

/** How often numbers of 0..1 occur, by tenths. */
export function Tenths({ label, counts, height, color = 'var(--accent)' }: { label: string; counts: readonly number[]; height: number; color?: string }) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const [hovered, setHovered] = useState<number>();
  const sum = counts.reduce((all, one) => all + one, 0);
  const { max, ticks } = niceMax(Math.max(0, ...counts), 2);
  const y = linear(0, max, height - BOTTOM, TOP);
  const step = Math.max(0, width - LEFT - RIGHT) / counts.length;
  return (
    <div ref={box} className="relative" style={{ height }}>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={label}
        className="block"
        onPointerMove={(event) => {
          const left = event.currentTarget.getBoundingClientRect().left;
          const at = Math.floor((event.clientX - left - LEFT) / step);
          setHovered(at >= 0 && at < counts.length ? at : undefined);
        }}
        onPointerLeave={() => setHovered(undefined)}
      >
        {ticks.map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} stroke="var(--line)" />
            <text x={LEFT - 6} y={y(tick) + 3.5} textAnchor="end" className="fill-ink-3 font-mono text-11">
              {count(tick)}
            </text>
          </g>
        ))}
        {counts.map((value, at) => (
          <g key={at}>
            {value > 0 && (
              <rect
                x={LEFT + at * step + 1}
                y={Math.min(y(value), height - BOTTOM - 1)}
                width={Math.max(1, step - 2)}
                height={Math.max(1, height - BOTTOM - y(value))}
                fill={color}
                opacity={hovered === undefined || hovered === at ? 1 : 0.55}
              />
            )}
            {at % 2 === 0 && (
              <text x={LEFT + at * step} y={height - 4} className="fill-ink-3 font-mono text-11">
                {(at / 10).toFixed(1)}
              </text>
            )}
          </g>
        ))}
      </svg>
      {hovered !== undefined && (
        <ChartTip x={LEFT + (hovered + 0.5) * step} width={width}>
          <span className="font-mono text-11 text-ink-3">{tenthName(hovered)}</span>{' '}
          <span className="font-mono">
            {count(counts[hovered])} ({shareText(counts[hovered] ?? 0, sum)})
          </span>
        </ChartTip>
      )}
      <HiddenTable caption={label} head={['Confidence', 'Decisions']} rows={counts.map((value, at) => [tenthName(at), count(value)])} />
    </div>
  );
}
