/** The whole run in a strip: one lane a step type, the failed attempts below, and what the axis shows of it. */

import { useCallback, useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, type Ref } from 'react';

import { useShownTheme } from '../../app/preferences.ts';
import { duration } from '../../format/index.ts';
import { lanePieces } from '../../timeline/layout.ts';
import type { Row, Timeline, Window } from '../../timeline/rows.ts';
import { STEP_TYPES } from '../../url/filter.ts';
import { useSize } from '../../ui/size.ts';
import { readPalette } from './paint.ts';

export interface MinimapHandle {
  show: (window: Window) => void;
}

interface MinimapProps {
  timeline: Timeline;
  pinned: boolean;
  /** A drag pins this time. */
  onPin: (window: Window) => void;
  /** A click lets go, and goes there. */
  onRelease: (time: number) => void;
  handle: Ref<MinimapHandle>;
}

const LANE = 8;
const GAP = 1;
const HEIGHT = (LANE + GAP) * (STEP_TYPES.length + 1) + 4;

export function Minimap({ timeline, pinned, onPin, onRelease, handle }: MinimapProps) {
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width } = useSize(box);
  const theme = useShownTheme();
  const shown = useRef<Window>(timeline.span);
  const drag = useRef<{ from: number; to: number }>(undefined);
  const { span } = timeline;

  const lanes = useMemo(() => {
    const columns = Math.max(1, width);
    const of = (rows: readonly Row[]) => lanePieces(rows, span, columns);
    return {
      types: STEP_TYPES.map((type) => of(timeline.rows.filter(({ step }) => step.step_type === type))),
      failed: of(timeline.rows.filter(({ failed }) => failed)),
    };
  }, [timeline, span, width]);

  const draw = useCallback(() => {
    const context = canvas.current?.getContext('2d', { alpha: false });
    if (context === null || context === undefined || width === 0) return;
    const palette = readPalette();
    const x = (time: number) => ((time - span.start) / (span.end - span.start)) * width;
    const window = drag.current ?? { from: x(shown.current.start), to: x(shown.current.end) };
    const [from, to] = [Math.min(window.from, window.to), Math.max(window.from, window.to)];
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.fillStyle = palette.bg;
    context.fillRect(0, 0, width, HEIGHT);
    const lane = (pieces: readonly [number, number][], color: string, at: number, inset: number) => {
      context.fillStyle = color;
      for (const [start, end] of pieces) {
        context.fillRect(start, 2 + at * (LANE + GAP) + inset, Math.max(1, end - start), LANE - 2 * inset);
      }
    };
    const all = () => {
      lanes.types.forEach((pieces, at) => {
        const type = STEP_TYPES[at];
        if (type !== undefined) lane(pieces, palette.step[type], at, 0);
      });
      lane(lanes.failed, palette.failedBar, STEP_TYPES.length, 1.5);
    };
    // What the axis does not show stands back.
    context.globalAlpha = 0.45;
    all();
    context.globalAlpha = 1;
    context.save();
    context.beginPath();
    context.rect(from, 0, Math.max(1, to - from), HEIGHT);
    context.clip();
    context.fillStyle = palette.bg;
    context.fillRect(0, 0, width, HEIGHT);
    all();
    context.restore();

    context.strokeStyle = palette.accent;
    context.lineWidth = 2;
    const [left, right] = [Math.max(1, from), Math.min(width - 1, Math.max(to, from + 3))];
    context.beginPath();
    context.moveTo(left + 4, 1);
    context.lineTo(left, 1);
    context.lineTo(left, HEIGHT - 1);
    context.lineTo(left + 4, HEIGHT - 1);
    context.moveTo(right - 4, 1);
    context.lineTo(right, 1);
    context.lineTo(right, HEIGHT - 1);
    context.lineTo(right - 4, HEIGHT - 1);
    context.stroke();

    if (timeline.failure !== undefined) {
      const at = Math.round(Math.min(width - 4, Math.max(4, x(timeline.failure.end))));
      context.fillStyle = palette.failedBar;
      context.fillRect(at - 1, 0, 2, HEIGHT);
      context.beginPath();
      context.moveTo(at - 4.5, 0);
      context.lineTo(at + 4.5, 0);
      context.lineTo(at, 7);
      context.fill();
    }
  }, [lanes, span, timeline.failure, width]);

  const drawNow = useRef(draw);
  useLayoutEffect(() => {
    drawNow.current = draw;
    const element = canvas.current;
    if (element === null) return;
    element.width = Math.round(width * devicePixelRatio);
    element.height = Math.round(HEIGHT * devicePixelRatio);
    draw();
  }, [draw, width]);
  useEffect(() => drawNow.current(), [theme]);
  useImperativeHandle(
    handle,
    () => ({
      show: (window) => {
        const { start, end } = shown.current;
        if (start === window.start && end === window.end) return;
        shown.current = window;
        drawNow.current();
      },
    }),
    [],
  );

  const place = (clientX: number) => Math.max(0, Math.min(width, clientX - (box.current?.getBoundingClientRect().left ?? 0)));
  const time = (x: number) => span.start + (x / Math.max(1, width)) * (span.end - span.start);
  return (
    <div ref={box} className="mx-5 my-1.5 shrink-0 touch-none">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`The whole run, ${duration(span.end - span.start)}. Drag to pin the axis to a time${pinned ? ', click to let it follow the rows again' : ''}.`}
        style={{ width, height: HEIGHT }}
        className="block cursor-crosshair"
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          const x = place(event.clientX);
          drag.current = { from: x, to: x };
        }}
        onPointerMove={(event) => {
          if (drag.current === undefined) return;
          drag.current.to = place(event.clientX);
          if (Math.abs(drag.current.to - drag.current.from) > 3) drawNow.current();
        }}
        onPointerUp={() => {
          const done = drag.current;
          drag.current = undefined;
          if (done === undefined) return;
          const [from, to] = [Math.min(done.from, done.to), Math.max(done.from, done.to)];
          if (to - from > 3) onPin({ start: time(from), end: time(to) });
          else onRelease(time(from));
          drawNow.current();
        }}
        onPointerCancel={() => {
          drag.current = undefined;
          drawNow.current();
        }}
      />
    </div>
  );
}
