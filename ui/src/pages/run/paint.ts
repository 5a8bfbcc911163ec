/** Draws rows on a canvas. What goes where is `timeline/layout.ts`; here is how it looks. */

import type { StepType } from '../../api/types.ts';
import { duration, durationTicks, tickDuration } from '../../format/index.ts';
import { bracketAt, fitText, layoutRow } from '../../timeline/layout.ts';
import { isSlow, type Row, type Window } from '../../timeline/rows.ts';
import { STEP_LETTER } from '../../parts/marks.tsx';

/** The tokens of the theme that is shown. A canvas knows no CSS variables. */
export interface Palette {
  bg: string;
  panel: string;
  ink: string;
  ink2: string;
  ink3: string;
  line: string;
  lineStrong: string;
  accent: string;
  selection: string;
  success: string;
  failure: string;
  partial: string;
  failedBar: string;
  step: Record<StepType, string>;
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    bg: token('bg'),
    panel: token('panel'),
    ink: token('ink'),
    ink2: token('ink-2'),
    ink3: token('ink-3'),
    line: token('line'),
    lineStrong: token('line-strong'),
    accent: token('accent'),
    selection: token('selection'),
    success: token('success'),
    failure: token('failure'),
    partial: token('partial'),
    failedBar: token('failed-bar'),
    step: {
      plan: token('plan'),
      retrieve: token('retrieve'),
      tool: token('tool'),
      respond: token('respond'),
      other: token('other'),
    },
  };
}

const SANS = '"Inter Variable", ui-sans-serif, system-ui, sans-serif';
const MONO = '"JetBrains Mono Variable", ui-monospace, monospace';
const NAME = `13px ${SANS}`;
const LETTER = `600 10.5px ${SANS}`;
const BADGE = `11px ${MONO}`;
const TAG = `700 10px ${SANS}`;
const NUMBER = `12px ${MONO}`;
const NUMBER_BOLD = `700 12px ${MONO}`;
const MARK = `11px ${SANS}`;

export const HEADER = 26;

export interface Columns {
  /** The right edge of the number. */
  number: number;
  /** Where the mark of the type stands. */
  mark: number;
  /** The right edge of the badges. */
  badges: number;
  /** The right edge of the latency. */
  latency: number;
  /** Where the axis begins, and how wide it is. */
  axis: number;
  axisWidth: number;
  /** Whether there is room for a latency and for words. */
  wide: boolean;
}

export function columnsOf(width: number): Columns {
  const wide = width >= 520;
  const labels = wide ? Math.round(Math.max(290, Math.min(414, width * 0.45))) : Math.round(width * 0.52);
  const axis = labels + (wide ? 20 : 8);
  return {
    number: 44,
    mark: 52,
    badges: wide ? labels - 70 : labels,
    latency: labels,
    axis,
    axisWidth: Math.max(10, width - axis - 4),
    wide,
  };
}

export interface Scene {
  rows: readonly Row[];
  selected: number | undefined;
  hovered: number | undefined;
  rowHeight: number;
  /** From how many ms on a latency is bold. */
  slowMs: number | null | undefined;
}

/** Measuring a text costs more than drawing it, and names repeat. */
class Measured {
  private readonly widths = new Map<string, number>();
  private readonly fitted = new Map<string, string>();

  width(context: CanvasRenderingContext2D, font: string, text: string): number {
    const key = `${font} ${text}`;
    let width = this.widths.get(key);
    if (width === undefined) {
      context.font = font;
      width = context.measureText(text).width;
      if (this.widths.size > 20_000) this.widths.clear();
      this.widths.set(key, width);
    }
    return width;
  }

  fit(context: CanvasRenderingContext2D, font: string, text: string, width: number): string {
    const key = `${Math.floor(width)} ${text}`;
    let fitted = this.fitted.get(key);
    if (fitted === undefined) {
      fitted = fitText(text, width, (part) => this.width(context, font, part));
      if (this.fitted.size > 20_000) this.fitted.clear();
      this.fitted.set(key, fitted);
    }
    return fitted;
  }

  /** Letters have other widths once their font is there. */
  clear(): void {
    this.widths.clear();
    this.fitted.clear();
  }
}

export const measured = new Measured();

/** Stripes for what failed, so that the colour is not alone. */
class Hatches {
  private palette: Palette | undefined;
  private readonly patterns = new Map<string, CanvasPattern | string>();

  of(context: CanvasRenderingContext2D, palette: Palette, color: string): CanvasPattern | string {
    if (this.palette !== palette) {
      this.palette = palette;
      this.patterns.clear();
    }
    let pattern = this.patterns.get(color);
    if (pattern === undefined) {
      const size = 12;
      const tile = document.createElement('canvas');
      tile.width = size;
      tile.height = size;
      const paint = tile.getContext('2d');
      if (paint !== null) {
        paint.fillStyle = color;
        paint.fillRect(0, 0, size, size);
        paint.strokeStyle = palette.bg;
        paint.globalAlpha = 0.8;
        paint.lineCap = 'square';
        paint.lineWidth = 3.6;
        for (let at = -size; at <= size * 2; at += size) {
          paint.beginPath();
          paint.moveTo(at, size + 1);
          paint.lineTo(at + size + 2, -1);
          paint.stroke();
        }
      }
      pattern = context.createPattern(tile, 'repeat') ?? color;
      if (typeof pattern !== 'string') pattern.setTransform(new DOMMatrix().scale(0.45));
      this.patterns.set(color, pattern);
    }
    return pattern;
  }
}

const hatches = new Hatches();

/** Draws the head and the rows `[first, end)` of a view that is scrolled to `top`. */
export function paint(
  context: CanvasRenderingContext2D,
  size: { width: number; height: number },
  scene: Scene,
  top: number,
  window: Window,
  columns: Columns,
  palette: Palette,
  [first, end]: [number, number],
): void {
  const { width, height } = size;
  context.fillStyle = palette.bg;
  context.fillRect(0, 0, width, height);
  context.textBaseline = 'middle';
  const ticks = durationTicks(window.start, window.end, columns.axisWidth / 130);
  const x = (time: number) => columns.axis + ((time - window.start) / (window.end - window.start)) * columns.axisWidth;

  for (let index = first; index < end; index++) {
    const row = scene.rows[index];
    if (row === undefined) continue;
    paintRow(context, scene, row, index, HEADER + index * scene.rowHeight - top, width, window, columns, palette);
  }

  // The head covers what is scrolled under it.
  context.fillStyle = palette.panel;
  context.fillRect(0, 0, width, HEADER);
  context.fillStyle = palette.line;
  context.fillRect(0, HEADER - 1, width, 1);
  context.fillStyle = palette.ink2;
  context.font = `500 12px ${SANS}`;
  context.textAlign = 'right';
  context.fillText('#', columns.number, HEADER / 2);
  if (columns.wide) context.fillText('Latency', columns.latency, HEADER / 2);
  context.textAlign = 'left';
  context.fillText('Step', columns.mark, HEADER / 2);
  context.font = `11px ${MONO}`;
  for (const tick of ticks.at) {
    const at = x(tick);
    context.fillStyle = palette.lineStrong;
    context.fillRect(Math.round(at), HEADER - 5, 1, 4);
    context.fillStyle = palette.ink3;
    const text = tickDuration(tick, ticks.step);
    const wide = measured.width(context, context.font, text);
    // The last label stays in the picture.
    if (at + 5 + wide < width) context.fillText(text, at + 5, HEADER / 2);
  }
}

function paintRow(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: Row,
  index: number,
  y: number,
  width: number,
  window: Window,
  columns: Columns,
  palette: Palette,
): void {
  const { step } = row;
  const { rowHeight } = scene;
  const middle = y + rowHeight / 2;
  const selected = index === scene.selected;
  if (selected || index === scene.hovered) {
    context.fillStyle = selected ? palette.selection : palette.panel;
    context.fillRect(0, y, width, rowHeight);
  }
  context.fillStyle = palette.line;
  context.fillRect(0, y + rowHeight - 1, width, 1);

  context.font = NUMBER;
  context.textAlign = 'right';
  context.fillStyle = palette.ink3;
  context.fillText(String(step.seq), columns.number, middle);

  const bracket = bracketAt(scene.rows, index);
  if (bracket !== undefined) {
    const at = columns.number + 4.5;
    context.strokeStyle = palette.failure;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(at, bracket.first ? middle - 6 : y);
    context.lineTo(at, bracket.last ? middle + 6 : y + rowHeight);
    if (bracket.first) {
      context.moveTo(at, middle - 6);
      context.lineTo(at + 4, middle - 6);
    }
    if (bracket.last) {
      context.moveTo(at, middle + 6);
      context.lineTo(at + 4, middle + 6);
    }
    context.stroke();
  }

  const indent = (step.attempt > 1 ? 14 : 0) + Math.min(row.depth, 5) * 12;
  const mark = columns.mark + indent;
  paintMark(context, step.step_type, mark, middle, palette);

  let right = columns.badges;
  if (row.failures.length > 0 && row.failed) right = paintTag(context, 'FAILED', right, middle, palette) - 6;
  if (step.attempts_total > 1) {
    const color = row.failed ? palette.failure : palette.success;
    right = paintBadge(context, `${row.failed ? '✕' : '✓'} ${step.attempt}/${step.attempts_total}`, right, middle, color, palette) - 6;
  }
  if (row.skew !== undefined && columns.wide) right = paintBadge(context, `◐ ${row.skew}`, right, middle, palette.partial, palette) - 6;

  context.textAlign = 'left';
  context.fillStyle = palette.ink;
  const name = measured.fit(context, NAME, step.name, right - mark - 24);
  context.font = NAME;
  context.fillText(name, mark + 24, middle + 0.5);

  if (columns.wide) {
    const slow = isSlow(row, scene.slowMs);
    context.font = slow ? NUMBER_BOLD : NUMBER;
    context.textAlign = 'right';
    context.fillStyle = slow ? palette.ink : palette.ink2;
    context.fillText(duration(step.latency_ms), columns.latency, middle);
  }
  paintBar(context, row, middle, window, columns, palette);
}

function paintMark(context: CanvasRenderingContext2D, type: StepType, x: number, middle: number, palette: Palette): void {
  const color = palette.step[type];
  context.beginPath();
  context.roundRect(x + 0.5, middle - 7.5, 15, 15, 3);
  context.globalAlpha = 0.22;
  context.fillStyle = color;
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = palette.ink;
  context.font = LETTER;
  context.textAlign = 'center';
  context.fillText(STEP_LETTER[type], x + 8, middle + 0.5);
}

function paintBadge(context: CanvasRenderingContext2D, text: string, right: number, middle: number, color: string, palette: Palette): number {
  const width = measured.width(context, BADGE, text) + 10;
  context.beginPath();
  context.roundRect(right - width + 0.5, middle - 7.5, width - 1, 15, 3);
  context.fillStyle = palette.bg;
  context.fill();
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
  context.font = BADGE;
  context.textAlign = 'left';
  context.fillStyle = color;
  context.fillText(text, right - width + 5, middle + 0.5);
  return right - width;
}

function paintTag(context: CanvasRenderingContext2D, text: string, right: number, middle: number, palette: Palette): number {
  const width = measured.width(context, TAG, text) + 10;
  context.beginPath();
  context.roundRect(right - width, middle - 8, width, 16, 3);
  context.fillStyle = palette.failure;
  context.fill();
  context.font = TAG;
  context.textAlign = 'left';
  context.fillStyle = palette.bg;
  context.fillText(text, right - width + 5, middle + 0.5);
  return right - width;
}

/** The words and marks beside a bar, from the bar outwards. */
function besideOf(row: Row, palette: Palette, words: boolean): { text: string; color: string; font: string }[] {
  const parts: { text: string; color: string; font: string }[] = [];
  const attention = row.signals.filter(({ tone }) => tone === 'attention').length;
  const plain = row.signals.length - attention;
  if (attention > 0) parts.push({ text: '▼'.repeat(Math.min(attention, 3)), color: palette.failure, font: MARK });
  if (plain > 0) parts.push({ text: '▲'.repeat(Math.min(plain, 3)), color: palette.success, font: MARK });
  const failure = row.failures[0];
  if (failure !== undefined && words) {
    parts.push({ text: `✕ ${failure.failure_type}/${failure.failure_code}`, color: palette.failure, font: `700 11px ${MONO}` });
  }
  if (row.idle >= IDLE_MS && words) parts.push({ text: `idle ${duration(row.idle)} before`, color: palette.ink3, font: `11px ${MONO}` });
  return parts;
}

/** From which length on idle time is worth a word. */
const IDLE_MS = 1000;
const SPACE = 5;
const BAR = 14;

function paintBar(context: CanvasRenderingContext2D, row: Row, middle: number, window: Window, columns: Columns, palette: Palette): void {
  const beside = besideOf(row, palette, columns.wide);
  const widths = beside.map(({ text, font }) => measured.width(context, font, text));
  const besideWidth = beside.length === 0 ? 0 : widths.reduce((sum, width) => sum + width + SPACE, row.decisions.length > 0 ? 6 : 0);
  const layout = layoutRow(row, window, columns.axis, columns.axisWidth, besideWidth);

  if (layout.backoff !== undefined) {
    context.strokeStyle = palette.ink3;
    context.lineWidth = 1;
    context.setLineDash([3, 2]);
    context.beginPath();
    context.moveTo(layout.backoff.x, Math.round(middle) + 0.5);
    context.lineTo(layout.backoff.x + layout.backoff.width, Math.round(middle) + 0.5);
    context.stroke();
    context.setLineDash([]);
  }
  if (layout.bar === undefined) {
    context.font = MARK;
    context.fillStyle = palette.ink3;
    context.textAlign = layout.outside === 'before' ? 'left' : 'right';
    context.fillText(layout.outside === 'before' ? '‹' : '›', layout.outside === 'before' ? columns.axis : columns.axis + columns.axisWidth, middle);
  } else {
    const { x, width } = layout.bar;
    const color = row.failures.length > 0 && row.failed ? palette.failedBar : palette.step[row.step.step_type];
    context.beginPath();
    context.roundRect(x, middle - BAR / 2, width, BAR, Math.min(2, width / 2));
    context.fillStyle = row.failed && width > 4 ? hatches.of(context, palette, color) : row.failed ? palette.failedBar : color;
    context.fill();
    if (row.failed && width > 4) {
      context.strokeStyle = palette.failedBar;
      context.lineWidth = 1;
      context.beginPath();
      context.roundRect(x + 0.5, middle - BAR / 2 + 0.5, width - 1, BAR - 1, 2);
      context.stroke();
    }
    if (row.decisions.length > 0) paintDiamond(context, x, middle, palette);
  }

  let x = layout.beside.x + (layout.beside.side === 'left' && row.decisions.length > 0 ? -5 : 0);
  context.textAlign = layout.beside.side === 'right' ? 'left' : 'right';
  beside.forEach(({ text, color, font }, at) => {
    context.font = font;
    context.fillStyle = color;
    context.fillText(text, x, middle + 0.5);
    x += ((widths[at] ?? 0) + SPACE) * (layout.beside.side === 'right' ? 1 : -1);
  });
}

function paintDiamond(context: CanvasRenderingContext2D, x: number, y: number, palette: Palette): void {
  const size = 5.5;
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.fillStyle = palette.ink;
  context.fill();
  context.strokeStyle = palette.bg;
  context.lineWidth = 1.25;
  context.stroke();
}
