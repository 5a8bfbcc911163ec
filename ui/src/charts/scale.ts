/** Scales and ticks: pure. */

/** Maps `[from, to]` to `[start, end]`. */
export function linear(from: number, to: number, start: number, end: number): (value: number) => number {
  const size = to - from;
  return (value) => (size === 0 ? start : start + ((value - from) / size) * (end - start));
}

/** The smallest round number that is at least `value`, and the ticks up to it. */
export function niceMax(value: number, ticks = 3): { max: number; ticks: number[] } {
  if (!(value > 0) || !Number.isFinite(value)) return { max: 1, ticks: [0, 1] };
  const rough = value / ticks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((one) => one * power >= rough) ?? 10) * power;
  const count = Math.ceil(value / step - 1e-9);
  // Multiplied and not added up, so that 0.3 stays 0.3.
  return { max: round(count * step), ticks: Array.from({ length: count + 1 }, (_, at) => round(at * step)) };
}

const round = (number: number) => Number(number.toPrecision(12));

/** Some of the edges of `count` buckets, at least `gap` px apart in `width`: the indices that get a label. */
export function labelled(count: number, width: number, gap: number): number[] {
  if (count === 0 || width <= 0) return [];
  const every = Math.max(1, Math.ceil((gap * count) / width));
  return Array.from({ length: Math.ceil(count / every) }, (_, at) => at * every);
}

/** The lines of a series whose missing values are gaps: each a path `M..L..`. */
export function linePath(values: readonly (number | null)[], x: (at: number) => number, y: (value: number) => number): string {
  let path = '';
  let open = false;
  values.forEach((value, at) => {
    if (value === null) {
      open = false;
      return;
    }
    path += `${open ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    // A point between two gaps would be invisible as a line.
    if (!open && (values[at + 1] ?? null) === null) path += 'h0.01';
    open = true;
  });
  return path;
}
