/** The series that all charts of runs draw, and how the server's buckets become points of them: pure. */

import type { Series } from '../charts/series.tsx';
import type { Bar } from '../charts/stacked-bars.tsx';
import type { Histogram, Timeseries } from '../api/types.ts';

export const RATE_SERIES: readonly Series[] = [{ name: 'failure rate', color: 'var(--failure)', dashed: false }];

export const DURATION_SERIES: readonly Series[] = [
  { name: 'p95', color: 'var(--accent)', dashed: false },
  { name: 'p50', color: 'var(--retrieve)', dashed: true },
];

/** In the order of `STATUS_SERIES`. */
export function statusBars({ buckets }: Histogram): Bar[] {
  return buckets.map(({ start, end, by_status }) => ({
    start: new Date(start),
    end: new Date(end),
    values: [by_status.failure, by_status.partial, by_status.success],
  }));
}

export interface Point {
  start: Date;
  end: Date;
  values: (number | null)[];
}

export function ratePoints({ buckets }: Timeseries): Point[] {
  return buckets.map(({ start, end, failure_rate }) => ({ start: new Date(start), end: new Date(end), values: [failure_rate] }));
}

export function durationPoints({ buckets }: Timeseries): Point[] {
  return buckets.map(({ start, end, duration_ms }) => ({
    start: new Date(start),
    end: new Date(end),
    values: [duration_ms.p95, duration_ms.p50],
  }));
}
