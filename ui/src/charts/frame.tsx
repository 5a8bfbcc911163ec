/** What charts with axes have in common: their edges, the ticks at the left and the labels below, and what the pointer is over. */

import { useRef, useState, type ReactNode } from 'react';

import { tickTime, type Zone } from '../format/index.ts';
import { useSize } from '../ui/size.ts';
import { labelled } from './scale.ts';
import { ChartTip } from './series.tsx';

export const TOP = 6;
export const BOTTOM = 18;

/** The lines of the values, each with its name. */
export function Ticks({ ticks, y, left, right, format }: { ticks: readonly number[]; y: (value: number) => number; left: number; right: number; format: (value: number) => string }) {
  return ticks.map((tick) => (
    <g key={tick}>
      <line x1={left} x2={right} y1={y(tick)} y2={y(tick)} stroke="var(--line)" />
      <text x={left - 6} y={y(tick) + 3.5} textAnchor="end" className="fill-ink-3 font-mono text-11">
        {format(tick)}
      </text>
    </g>
  ));
}

/** The times of some of the buckets, each under where its bucket begins. */
export function TimeLabels({ buckets, left, right, width, height, zone }: { buckets: readonly { start: Date; end: Date }[]; left: number; right: number; width: number; height: number; zone: Zone }) {
  const inner = Math.max(0, width - left - right);
  const labels = labelled(buckets.length, inner, 72);
  const stepMs = buckets[0] === undefined ? 0 : buckets[0].end.getTime() - buckets[0].start.getTime();
  const labelStep = stepMs * ((labels[1] ?? 1) - (labels[0] ?? 0));
  return labels.map((index) => {
    const bucket = buckets[index];
    const x = left + (index * inner) / buckets.length;
    // A label that would be cut off says less than none.
    if (bucket === undefined || x + 40 > width) return null;
    return (
      <text key={index} x={x} y={height - 4} className="fill-ink-3 font-mono text-11">
        {tickTime(bucket.start, zone, labelStep)}
      </text>
    );
  });
}

/** A chart of `count` steps from left to right that tells of the one under the pointer, and cannot be used otherwise. */
export function HoverChart({
  label,
  count,
  height,
  left,
  right,
  tip,
  children,
}: {
  label: string;
  count: number;
  /** In px, as `left` and `right`, which are the edges within which the steps are. */
  height: number;
  left: number;
  right: number;
  tip: (at: number) => ReactNode;
  children: (frame: { width: number; step: number; hovered: number | undefined }) => ReactNode;
}) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const [hovered, setHovered] = useState<number>();
  const step = count === 0 ? 0 : Math.max(0, width - left - right) / count;
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
          const from = event.currentTarget.getBoundingClientRect().left;
          setHovered(Math.max(0, Math.min(count - 1, Math.floor((event.clientX - from - left) / step))));
        }}
        onPointerLeave={() => setHovered(undefined)}
      >
        {/* Before the width is known there is nothing to be seen. */}
        {width > 0 && children({ width, step, hovered })}
      </svg>
      {hovered !== undefined && hovered < count && (
        <ChartTip x={left + (hovered + 0.5) * step} width={width}>
          {tip(hovered)}
        </ChartTip>
      )}
    </div>
  );
}
