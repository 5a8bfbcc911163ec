/** Durations as people read them. The one formatter of durations. */

/** A space that does not break between number and unit would be wrong in monospace columns; a thin gap is not. */
const GAP = ' ';

/** `0.4 ms` is never asked for: the server counts in whole milliseconds. `—` where there is none. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '—';
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 1000) return `${Math.round(ms)}${GAP}ms`;
  // Where rounding would show a full minute, the next form says it better.
  if (ms < 59_995) return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)}${GAP}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return pair(Math.floor(seconds / 60), 'm', seconds % 60, 's');
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm');
  const hours = Math.round(ms / 3_600_000);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return `${large}${GAP}${largeUnit}${GAP}${String(small).padStart(2, '0')}${GAP}${smallUnit}`;
}

/** The label of a tick on an axis of elapsed time whose ticks are `stepMs` apart: no more digits than it needs. */
export function tickDuration(ms: number, stepMs: number): string {
  if (ms === 0) return '0';
  if (ms < 1000 || stepMs < 1) return `${trim(ms, stepMs < 1 ? 3 : 0)}${GAP}ms`;
  const digits = stepMs < 10 ? 3 : stepMs < 100 ? 2 : stepMs < 1000 ? 1 : 0;
  if (ms < 60_000) return `${trim(ms / 1000, digits)}${GAP}s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${trim((ms - minutes * 60_000) / 1000, digits).padStart(digits === 0 ? 2 : digits + 3, '0')}${GAP}s`;
  if (ms < 3_600_000) return `${minutes}${GAP}m${GAP}${seconds}`;
  const hours = pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm');
  return stepMs < 60_000 ? `${hours}${GAP}${seconds}` : hours;
}

function trim(number: number, digits: number): string {
  return number.toFixed(digits);
}

/** The ticks of an axis over `[start, end)`: round numbers, about `count` of them. */
export function durationTicks(start: number, end: number, count: number): { at: number[]; step: number } {
  const wanted = (end - start) / Math.max(1, count);
  if (!(wanted > 0)) return { at: [], step: 1 };
  const step = STEPS.find((step) => step >= wanted) ?? Math.ceil(wanted / DAY) * DAY;
  const at: number[] = [];
  for (let index = Math.ceil(start / step - 1e-9); index * step < end; index++) at.push(index * step);
  return { at, step };
}

const DAY = 86_400_000;
const STEPS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  1_200_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, DAY,
];
