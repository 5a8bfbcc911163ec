/**
 * The waterfall: one canvas for the rows in view, and a grid beside it for who does not see it. Scrolling draws and renders
 * nothing; the axis follows the rows in view unless it is pinned.
 */

import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState, type Ref } from 'react';

import { useRowHeight, useShownTheme } from '../../app/preferences.ts';
import { duration, durationTicks } from '../../format/index.ts';
import { visibleRows, windowOf } from '../../timeline/layout.ts';
import type { Row, Window } from '../../timeline/rows.ts';
import { useSize } from '../../ui/size.ts';
import { columnsOf, HEADER, measured, paint, readPalette } from './paint.ts';

export interface WaterfallHandle {
  /** Brings a row into the middle, unless it is in view. */
  reveal: (index: number) => void;
  /** Brings the rows of a time into view. */
  revealTime: (time: number) => void;
  focus: () => void;
}

interface WaterfallProps {
  rows: readonly Row[];
  span: Window;
  /** Where the axis is pinned; else it follows the rows. */
  pinned: Window | undefined;
  selected: number | undefined;
  slowMs: number | null | undefined;
  onSelect: (row: Row) => void;
  /** Told, while drawing, what the axis shows. */
  onWindow: (window: Window) => void;
  handle: Ref<WaterfallHandle>;
}

/** How many rows around the selected one stand in the grid. */
const NEAR = 12;

export function Waterfall({ rows, span, pinned, selected, slowMs, onSelect, onWindow, handle }: WaterfallProps) {
  const view = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(view);
  const theme = useShownTheme();
  const rowHeight = useRowHeight();
  const hovered = useRef<number>(undefined);
  const frame = useRef(0);
  const columns = useMemo(() => columnsOf(width), [width]);
  const palette = useRef(undefined as ReturnType<typeof readPalette> | undefined);
  /** The first row that the grid shows when nothing is selected. */
  const [near, setNear] = useState(0);

  const draw = useCallback(() => {
    frame.current = 0;
    const context = canvas.current?.getContext('2d', { alpha: false });
    if (context === null || context === undefined || view.current === null || width === 0 || height === 0) return;
    const { scrollTop } = view.current;
    const inView = visibleRows(scrollTop, height - HEADER, rowHeight, rows.length);
    const window = pinned ?? windowOf(rows, inView[0], inView[1], span);
    palette.current ??= readPalette();
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const scene = { rows, selected, hovered: hovered.current, rowHeight, slowMs };
    paint(context, { width, height }, scene, scrollTop, window, columns, palette.current, inView);
    onWindow(window);
    // What tests read instead of pixels; it costs nothing that is seen.
    view.current.dataset.window = `${window.start.toFixed(1)}..${window.end.toFixed(1)}`;
    view.current.dataset.ticks = String(durationTicks(window.start, window.end, columns.axisWidth / 130).at.length);
  }, [rows, span, pinned, selected, slowMs, width, height, rowHeight, columns, onWindow]);

  const latest = useRef(draw);
  const schedule = useCallback(() => {
    if (frame.current === 0) frame.current = requestAnimationFrame(() => latest.current());
  }, []);

  useLayoutEffect(() => {
    latest.current = draw;
    const element = canvas.current;
    if (element === null) return;
    const [wide, high] = [Math.round(width * devicePixelRatio), Math.round(height * devicePixelRatio)];
    if (element.width !== wide || element.height !== high) {
      element.width = wide;
      element.height = high;
    }
    draw();
  }, [draw, width, height]);

  useEffect(() => {
    palette.current = undefined;
    schedule();
  }, [theme, schedule]);

  useEffect(() => {
    // Letters are measured anew once their font is there.
    void document.fonts.ready.then(() => {
      measured.clear();
      schedule();
    });
    return () => cancelAnimationFrame(frame.current);
  }, [schedule]);

  const revealIndex = useCallback(
    (index: number) => {
      const element = view.current;
      if (element === null || index < 0) return;
      const [from, to] = [index * rowHeight, (index + 1) * rowHeight];
      const inner = element.clientHeight - HEADER;
      if (from >= element.scrollTop && to <= element.scrollTop + inner) return;
      // A step further keeps the next row in view; a jump puts its row into the middle.
      const near = from < element.scrollTop + 3 * inner && to > element.scrollTop - 2 * inner;
      const jump = Math.abs(from - element.scrollTop) > inner + 2 * rowHeight || !near;
      element.scrollTop = jump ? from - inner / 2 : from < element.scrollTop ? from - rowHeight : to - inner + rowHeight;
    },
    [rowHeight],
  );
  useImperativeHandle(
    handle,
    () => ({
      reveal: revealIndex,
      revealTime: (time) => {
        const index = rows.findIndex((row) => row.end >= time);
        if (view.current !== null && index >= 0) view.current.scrollTop = index * rowHeight - (view.current.clientHeight - HEADER) / 2;
      },
      focus: () => view.current?.focus(),
    }),
    [revealIndex, rows, rowHeight],
  );

  // A deep link opens at its step, and the selected row stays in view when the rows or the place for them change.
  useLayoutEffect(() => {
    if (height > 0 && selected !== undefined) revealIndex(selected);
  }, [height, selected, revealIndex]);

  const rowAt = (clientY: number): number | undefined => {
    if (view.current === null) return undefined;
    const y = clientY - view.current.getBoundingClientRect().top - HEADER;
    if (y < 0) return undefined;
    const index = Math.floor((y + view.current.scrollTop) / rowHeight);
    return index < rows.length ? index : undefined;
  };
  const around = selected ?? near;
  const [first, end] = [Math.max(0, around - NEAR), Math.min(rows.length, around + NEAR + 1)];

  return (
    <div
      ref={view}
      role="grid"
      aria-label="Steps"
      aria-rowcount={rows.length + 1}
      aria-activedescendant={selected === undefined ? undefined : `step-${selected}`}
      tabIndex={0}
      data-testid="waterfall"
      onScroll={(event) => {
        schedule();
        const at = Math.floor(event.currentTarget.scrollTop / rowHeight);
        // Every few rows are enough for who is told of them.
        if (Math.abs(at - near) >= NEAR) setNear(at);
      }}
      onPointerMove={(event) => {
        const index = rowAt(event.clientY);
        if (index === hovered.current) return;
        hovered.current = index;
        schedule();
      }}
      onPointerLeave={() => {
        hovered.current = undefined;
        schedule();
      }}
      onClick={(event) => {
        const row = rows[rowAt(event.clientY) ?? -1];
        if (row !== undefined) onSelect(row);
      }}
      className="scroll-quietly relative min-h-0 grow cursor-default overflow-x-hidden overflow-y-auto focus-visible:-outline-offset-2"
    >
      <div role="presentation" style={{ height: HEADER + rows.length * rowHeight }}>
        <canvas ref={canvas} aria-hidden="true" style={{ width, height }} className="sticky top-0 left-0 block" />
      </div>
      <div role="rowgroup" className="sr-only top-0">
        <div role="row" aria-rowindex={1}>
          <span role="columnheader">Number</span>
          <span role="columnheader">Step</span>
          <span role="columnheader">Latency</span>
          <span role="columnheader">What happened</span>
        </div>
        {rows.slice(first, end).map((row, offset) => {
          const index = first + offset;
          return (
            <div key={row.step.step_id} id={`step-${index}`} role="row" aria-rowindex={index + 2} aria-selected={index === selected}>
              <span role="gridcell">{row.step.seq}</span>
              <span role="gridcell">
                {row.step.step_type} {row.step.name}
              </span>
              <span role="gridcell">{duration(row.step.latency_ms)}</span>
              <span role="gridcell">{saying(row)}</span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** What is drawn beside a row, in words. */
function saying(row: Row): string {
  const { step } = row;
  return [
    step.attempts_total > 1 ? `attempt ${step.attempt} of ${step.attempts_total}` : '',
    row.failed ? 'failed' : '',
    ...row.failures.map(({ failure_type, failure_code }) => `${failure_type}/${failure_code}`),
    row.decisions.length > 0 ? `${row.decisions.length} decisions` : '',
    row.signals.length > 0 ? `${row.signals.length} signals` : '',
    row.idle >= 1000 ? `idle for ${duration(row.idle)} before` : '',
    row.backoff !== undefined && row.backoff > 0 ? `back-off of ${duration(row.backoff)} before` : '',
    row.skew ?? '',
  ]
    .filter((part) => part !== '')
    .join(', ');
}
