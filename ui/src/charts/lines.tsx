import { useRef, useState } from 'react';

import { dateTime, tickTime, type Zone } from '../format/index.ts';
import { useSize } from '../ui/size.ts';
import { labelled, linear, linePath, niceMax } from './scale.ts';
import { ChartTip, HiddenTable, type Series } from './series.tsx';

interface LinesProps {
  label: string;
  series: readonly Series[];
  points: readonly { start: Date; end: Date; values: readonly (number | null)[] }[];
  zone: Zone;
  height: number;
  format: (value: number | null) => string;
  /** The top of the axis, where it is known: 100 of a percentage. */
  max?: number;
}

const LEFT = 52;
const RIGHT = 12;
const BOTTOM = 18;
const TOP = 6;

/** Numbers over time. A missing one is a gap, never a zero. */
export function Lines({ label, series, points, zone, height, format, max: fixedMax }: LinesProps) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const [hovered, setHovered] = useState<number>();
  const all = points.flatMap(({ values }) => values.filter((value) => value !== null));
  const { max, ticks } = fixedMax === undefined ? niceMax(Math.max(0, ...all), 2) : { max: fixedMax, ticks: [0, fixedMax / 2, fixedMax] };
  const y = linear(0, max, height - BOTTOM, TOP);
  const inner = Math.max(0, width - LEFT - RIGHT);
  const step = points.length === 0 ? 0 : inner / points.length;
  const x = (at: number) => LEFT + (at + 0.5) * step;
  const stepMs = points[0] === undefined ? 0 : points[0].end.getTime() - points[0].start.getTime();
  const labels = labelled(points.length, inner, 72);
  const labelStep = stepMs * ((labels[1] ?? 1) - (labels[0] ?? 0));
  const shown = hovered === undefined ? undefined : points[hovered];
  return (
    <div ref={box} className="relative" style={{ height }}>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={label}
        className="block"
        onPointerMove={(event) => {
          if (step === 0) return;
          const left = event.currentTarget.getBoundingClientRect().left;
          setHovered(Math.max(0, Math.min(points.length - 1, Math.floor((event.clientX - left - LEFT) / step))));
        }}
        onPointerLeave={() => setHovered(undefined)}
      >
        {ticks.map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} stroke="var(--line)" />
            <text x={LEFT - 6} y={y(tick) + 3.5} textAnchor="end" className="fill-ink-3 font-mono text-11">
              {format(tick)}
            </text>
          </g>
        ))}
        {hovered !== undefined && (
          <line x1={x(hovered)} x2={x(hovered)} y1={TOP} y2={height - BOTTOM} stroke="var(--line-strong)" />
        )}
        {series.map((one, index) => (
          <path
            key={one.name}
            d={linePath(points.map(({ values }) => values[index] ?? null), x, y)}
            fill="none"
            stroke={one.color}
            strokeWidth="1.5"
            strokeLinejoin="round"
            strokeLinecap="round"
            strokeDasharray={one.dashed === true ? '4 3' : undefined}
          />
        ))}
        {labels.map((index) => {
          const point = points[index];
          return point === undefined || LEFT + index * step + 40 > width ? null : (
            <text key={index} x={LEFT + index * step} y={height - 4} className="fill-ink-3 font-mono text-11">
              {tickTime(point.start, zone, labelStep)}
            </text>
          );
        })}
      </svg>
      {shown !== undefined && (
        <ChartTip x={x(hovered ?? 0)} width={width}>
          <div className="font-mono text-11 text-ink-3">{dateTime(shown.start, zone)}</div>
          {series.map((one, at) => (
            <div key={one.name} className="flex justify-between gap-4">
              <span>{one.name}</span>
              <span className="font-mono">{format(shown.values[at] ?? null)}</span>
            </div>
          ))}
        </ChartTip>
      )}
      <HiddenTable
        caption={label}
        head={['From', ...series.map((one) => one.name)]}
        rows={points
          .filter(({ values }) => values.some((value) => value !== null))
          .map(({ start, values }) => [dateTime(start, zone), ...values.map(format)])}
      />
    </div>
  );
}

/** A line without axes beside a number that it belongs to. */
export function Sparkline({ label, values, width = 96, height = 20 }: { label: string; values: readonly (number | null)[]; width?: number; height?: number }) {
  const max = Math.max(0, ...values.filter((value) => value !== null));
  const x = (at: number) => (values.length < 2 ? width / 2 : 1 + (at / (values.length - 1)) * (width - 2));
  return (
    <svg width={width} height={height} role="img" aria-label={label} className="inline-block align-middle">
      <path d={`M0 ${height - 1}H${width}`} stroke="var(--line)" />
      <path
        d={linePath(values, x, linear(0, max === 0 ? 1 : max, height - 2, 2))}
        fill="none"
        stroke="var(--accent)"
        strokeWidth="1.5"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}
