/** Where everything of a row is drawn. Pure: times to px, and what fits where. */

import type { Row, Window } from './rows.ts';

/** The time that the rows in view take, with some air; the axis that follows them. */
export function windowOf(rows: readonly Row[], first: number, end: number, span: Window): Window {
  let [start, stop] = [Infinity, -Infinity];
  for (let at = Math.max(0, first); at < Math.min(rows.length, end); at++) {
    const row = rows[at];
    if (row === undefined) continue;
    start = Math.min(start, row.start);
    stop = Math.max(stop, row.end);
  }
  if (!(stop >= start)) return span;
  const air = Math.max((stop - start) * 0.02, 0.5);
  return { start: Math.max(span.start, start - air), end: Math.min(span.end, stop + air) };
}

/** Which rows are in view: half open. */
export function visibleRows(top: number, height: number, rowHeight: number, count: number): [number, number] {
  const first = Math.max(0, Math.min(count, Math.floor(top / rowHeight)));
  return [first, Math.max(first, Math.min(count, Math.ceil((top + height) / rowHeight)))];
}

/** `a..b` of the URL. */
export function parseWindow(text: string | undefined, span: Window): Window | undefined {
  const found = /^(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)$/.exec(text ?? '');
  if (found === null) return undefined;
  const window = { start: Math.max(span.start, Number(found[1])), end: Math.min(span.end, Number(found[2])) };
  return window.end > window.start ? window : undefined;
}

export function windowText({ start, end }: Window): string {
  const digits = end - start < 100 ? 1 : 0;
  return `${Math.max(0, start).toFixed(digits)}..${end.toFixed(digits)}`;
}

export interface Piece {
  x: number;
  width: number;
}

export interface RowLayout {
  /** The bar; `undefined` where the row lies outside of the window. */
  bar: Piece | undefined;
  /** Where a row outside of the window lies. */
  outside: 'before' | 'after' | undefined;
  /** The dashed line from the attempt before; words that stand on the left do not stand on it. */
  backoff: Piece | undefined;
  /** Where the marks and words beside the bar begin, and in which direction they go. */
  beside: { x: number; side: 'right' | 'left' };
}

/** No bar is narrower, or it would not be seen. */
export const MIN_BAR = 2;

/** How far words stand from what is left or right of them. */
const AIR = 8;
/** No dashed line is shorter where words shorten it: less would not be seen as one. */
const LEAST_DASHES = 16;

/**
 * Lays a row out on an axis of `width` px from `x`. `besideWidth` px of marks and words stand right of the bar, or left of it
 * where the right has no room. There they shorten the line of a long back-off, and stand before that of a short one.
 */
export function layoutRow(row: Row, window: Window, x: number, width: number, besideWidth: number): RowLayout {
  const scale = width / Math.max(1e-9, window.end - window.start);
  const px = (time: number) => x + (time - window.start) * scale;
  const [left, right] = [px(row.start), px(row.end)];
  const [least, most] = [x, x + width];
  if (left > most || right < least) {
    const before = right < least;
    return {
      bar: undefined,
      outside: before ? 'before' : 'after',
      backoff: undefined,
      beside: before ? { x: least + 14, side: 'right' } : { x: most - 14, side: 'left' },
    };
  }
  const from = Math.min(Math.max(left, least), most - MIN_BAR);
  const bar = { x: from, width: Math.max(MIN_BAR, Math.min(right, most) - from) };
  const end = bar.x + bar.width;
  const waitedFrom = row.backoff === undefined ? undefined : Math.max(least, px(row.start - row.backoff));
  const line = waitedFrom === undefined || bar.x - waitedFrom < 3 ? undefined : { x: waitedFrom, width: bar.x - waitedFrom };
  const onRight = { bar, outside: undefined, backoff: line, beside: { x: end + AIR, side: 'right' as const } };
  if (besideWidth === 0 || end + AIR + besideWidth <= most) return onRight;

  const wordsFrom = bar.x - AIR - besideWidth;
  const onLeft = { ...onRight, beside: { x: bar.x - AIR, side: 'left' as const } };
  if (line === undefined) return wordsFrom < least ? onRight : onLeft;
  const dashes = wordsFrom - AIR / 2 - line.x;
  if (dashes >= LEAST_DASHES) return { ...onLeft, backoff: { x: line.x, width: dashes } };
  if (line.x - AIR - besideWidth >= least) return { ...onLeft, beside: { x: line.x - AIR, side: 'left' } };
  // There is room for the words or for the line, and words say more.
  return wordsFrom < least ? onRight : { ...onLeft, backoff: dashes < 3 ? undefined : { x: line.x, width: dashes } };
}

/** For the minimap: which of `columns` columns a lane has something in, as runs of columns. */
export function lanePieces(rows: readonly Row[], span: Window, columns: number): [number, number][] {
  const filled = new Uint8Array(columns);
  const scale = columns / Math.max(1e-9, span.end - span.start);
  for (const row of rows) {
    const from = Math.max(0, Math.min(columns - 1, Math.floor((row.start - span.start) * scale)));
    const to = Math.max(from, Math.min(columns - 1, Math.ceil((row.end - span.start) * scale) - 1));
    filled.fill(1, from, to + 1);
  }
  const pieces: [number, number][] = [];
  for (let at = 0; at < columns; at++) {
    if (filled[at] === 0) continue;
    const from = at;
    while (at + 1 < columns && filled[at + 1] === 1) at++;
    pieces.push([from, at + 1]);
  }
  return pieces;
}

/** The stretches of one retry group in a list of rows: where its bracket begins and ends, both inclusive. */
export function bracketAt(rows: readonly Row[], index: number): { first: boolean; last: boolean } | undefined {
  const group = rows[index]?.step.retry_group;
  if (group === null || group === undefined) return undefined;
  return { first: rows[index - 1]?.step.retry_group !== group, last: rows[index + 1]?.step.retry_group !== group };
}

/** A name that is no wider than `width`, with `…` where something was left out. `measure` is asked a few times at most. */
export function fitText(text: string, width: number, measure: (text: string) => number): string {
  if (measure(text) <= width) return text;
  const letters = Array.from(text);
  let [low, high] = [0, letters.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (measure(`${letters.slice(0, middle).join('')}…`) <= width) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? '' : `${letters.slice(0, low).join('')}…`;
}
