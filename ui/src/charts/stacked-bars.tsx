import { useRef, useState, type PointerEvent } from 'react';

import { count, dateTime, shortCount, type Zone } from '../format/index.ts';
import { cx } from '../ui/class.ts';
import { useSize } from '../ui/size.ts';
import { BOTTOM, Ticks, TimeLabels, TOP } from './frame.tsx';
import { linear, niceMax } from './scale.ts';
import { ChartTip, HiddenTable, useHatches, type Series } from './series.tsx';

export interface Bar {
  start: Date;
  end: Date;
  /** One number a series. */
  values: readonly number[];
}

interface StackedBarsProps {
  label: string;
  series: readonly Series[];
  bars: readonly Bar[];
  zone: Zone;
  /** In px. */
  height: number;
  /** Called with the time that was brushed, half open. Without it nothing can be brushed. */
  onBrush?: (start: Date, end: Date) => void;
}

const LEFT = 40;
const RIGHT = 12;

/**
 * Counts over time, one series on the other. A drag brushes a time; by keyboard the arrows move, with Shift they widen,
 * Enter brushes and Escape lets go.
 */
export function StackedBars({ label, series, bars, zone, height, onBrush }: StackedBarsProps) {
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);
  const [hovered, setHovered] = useState<number>();
  const [brush, setBrush] = useState<{ from: number; to: number }>();
  const dragging = useRef(false);
  const { defs, fill } = useHatches(series);

  const sums = bars.map((bar) => bar.values.reduce((sum, value) => sum + value, 0));
  const { max, ticks } = niceMax(Math.max(0, ...sums), 2);
  const y = linear(0, max, height - BOTTOM, TOP);
  const inner = Math.max(0, width - LEFT - RIGHT);
  const barWidth = bars.length === 0 ? 0 : inner / bars.length;
  const x = (at: number) => LEFT + at * barWidth;

  const at = (event: PointerEvent) => {
    const left = event.currentTarget.getBoundingClientRect().left;
    return Math.max(0, Math.min(bars.length - 1, Math.floor((event.clientX - left - LEFT) / barWidth)));
  };
  const commit = (chosen: { from: number; to: number }) => {
    const [first, last] = [bars[Math.min(chosen.from, chosen.to)], bars[Math.max(chosen.from, chosen.to)]];
    setBrush(undefined);
    setHovered(undefined);
    if (first !== undefined && last !== undefined) onBrush?.(first.start, last.end);
  };
  const shown = hovered === undefined ? undefined : bars[hovered];
  const range = brush === undefined ? undefined : [Math.min(brush.from, brush.to), Math.max(brush.from, brush.to)];
  const spoken =
    shown === undefined
      ? label
      : `${dateTime(shown.start, zone)}: ${series.map(({ name }, at) => `${count(shown.values[at] ?? 0)} ${name}`).join(', ')}`;

  return (
    <div ref={box} className="relative" style={{ height }}>
      <svg
        width={width}
        height={height}
        role={onBrush === undefined ? 'img' : 'slider'}
        aria-label={onBrush === undefined ? label : `${label}: choose a time with the arrow keys, Shift to widen, Enter to zoom in`}
        {...(onBrush === undefined
          ? {}
          : {
              tabIndex: 0,
              'aria-valuemin': 0,
              'aria-valuemax': Math.max(0, bars.length - 1),
              'aria-valuenow': hovered ?? 0,
              'aria-valuetext': spoken,
            })}
        className={cx('block select-none', onBrush !== undefined && 'cursor-crosshair touch-pan-y')}
        onPointerMove={(event) => {
          if (barWidth === 0) return;
          const here = at(event);
          setHovered(here);
          if (dragging.current) setBrush((before) => before && { ...before, to: here });
        }}
        onPointerLeave={() => {
          if (!dragging.current) setHovered(undefined);
        }}
        onPointerDown={(event) => {
          if (onBrush === undefined || event.button !== 0 || barWidth === 0) return;
          dragging.current = true;
          event.currentTarget.setPointerCapture(event.pointerId);
          setBrush({ from: at(event), to: at(event) });
        }}
        onPointerUp={() => {
          if (!dragging.current) return;
          dragging.current = false;
          if (brush !== undefined) commit(brush);
        }}
        onPointerCancel={() => {
          dragging.current = false;
          setBrush(undefined);
        }}
        onBlur={() => {
          setBrush(undefined);
          setHovered(undefined);
        }}
        onKeyDown={(event) => {
          if (onBrush === undefined || bars.length === 0) return;
          const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (by !== undefined) {
            event.preventDefault();
            const here = hovered === undefined ? (by === 1 ? 0 : bars.length - 1) : Math.max(0, Math.min(bars.length - 1, hovered + by));
            setHovered(here);
            setBrush(event.shiftKey ? { from: brush?.from ?? hovered ?? here, to: here } : undefined);
          } else if (event.key === 'Enter' && hovered !== undefined) {
            event.preventDefault();
            commit(brush ?? { from: hovered, to: hovered });
          } else if (event.key === 'Escape' && (brush !== undefined || hovered !== undefined)) {
            event.preventDefault();
            setBrush(undefined);
            setHovered(undefined);
          }
        }}
      >
        {defs}
        <Ticks ticks={ticks} y={y} left={LEFT} right={width - RIGHT} format={shortCount} />
        {hovered !== undefined && (
          <rect x={x(hovered)} y={TOP} width={barWidth} height={height - BOTTOM - TOP} fill="var(--selection)" />
        )}
        {/* Before the width is known there is nothing to be seen. */}
        {(width === 0 ? [] : bars).map((bar, index) => {
          let base = 0;
          return bar.values.map((value, at) => {
            if (value === 0) return null;
            const [bottom, top] = [y(base), y(base + value)];
            base += value;
            // However few, they are seen.
            const size = Math.max(1, bottom - top);
            return (
              <rect
                key={`${index}-${at}`}
                x={x(index) + 0.5}
                y={bottom - size}
                width={Math.max(0.5, barWidth - 1)}
                height={size}
                fill={fill(at)}
              />
            );
          });
        })}
        {range !== undefined && (
          <rect
            x={x(range[0] ?? 0)}
            y={TOP}
            width={((range[1] ?? 0) - (range[0] ?? 0) + 1) * barWidth}
            height={height - BOTTOM - TOP}
            fill="var(--accent)"
            opacity="0.18"
            stroke="var(--accent)"
          />
        )}
        <TimeLabels buckets={bars} left={LEFT} right={RIGHT} width={width} height={height} zone={zone} />
      </svg>
      {shown !== undefined && (
        <ChartTip x={x((hovered ?? 0) + 0.5)} width={width}>
          <div className="font-mono text-11 text-ink-3">{dateTime(shown.start, zone)}</div>
          {series.map((one, at) => (
            <div key={one.name} className="flex justify-between gap-4">
              <span>{one.name}</span>
              <span className="font-mono">{count(shown.values[at] ?? 0)}</span>
            </div>
          ))}
        </ChartTip>
      )}
      {/* Where bars are gone through by keys, each says its numbers. */}
      {onBrush === undefined && (
        <HiddenTable
          caption={label}
          head={['From', ...series.map((one) => one.name)]}
          rows={() => bars.filter((_, at) => (sums[at] ?? 0) > 0).map((bar) => [dateTime(bar.start, zone), ...bar.values.map(count)])}
        />
      )}
    </div>
  );
}
