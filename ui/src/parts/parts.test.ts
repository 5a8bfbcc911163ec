import { describe, expect, it } from 'vitest';

import type { Cluster } from '../api/types.ts';
import { clusterTitle, failureName, stepSearch } from './cluster-words.ts';
import { ingestAddress } from './first-run.tsx';
import { durationPoints, ratePoints, statusBars } from './series-of-runs.ts';

const cause = {
  agent_id: 'a',
  failure_type: 'tool',
  failure_code: 'timeout',
  step: { step_type: 'tool', name: 'tickets.update' },
  step_seq: 7,
  path: [],
  spread_to: [],
} as const satisfies Cluster['cause'] & object;

const cluster = (of: Cluster['cause']) => ({ cluster: '47c62758fa841c06', cause: of }) as Cluster;

describe('a cluster in words', () => {
  it('says what failed and where', () => {
    expect(clusterTitle(cluster({ ...cause, path: [], spread_to: [] }))).toBe('tool/timeout at tickets.update');
    expect(clusterTitle(cluster({ ...cause, path: [], spread_to: [], step: null }))).toBe('tool/timeout');
    expect(clusterTitle(cluster(null))).toBe('cluster 47c62758fa841c06');
    expect(failureName({ failure_type: null, failure_code: null })).toBe('failed without a cause');
  });

  it('leads to the step, when there is one', () => {
    expect(stepSearch({ ...cause, path: [], spread_to: [] })).toEqual({ step: 7 });
    expect(stepSearch({ ...cause, path: [], spread_to: [], step_seq: 0 })).toEqual({ step: 0 });
    expect(stepSearch({ ...cause, path: [], spread_to: [], step_seq: null })).toEqual({});
    expect(stepSearch(null)).toEqual({});
  });
});

describe('the address of the first run', () => {
  it('is the host of the page and the port that the server names', () => {
    expect(ingestAddress('agents.internal', 9000)).toBe('http://agents.internal:9000');
    expect(ingestAddress('[::1]', 8000)).toBe('http://[::1]:8000');
  });
});

describe('the points of charts', () => {
  const [start, end] = ['2026-11-22T08:00:00Z', '2026-11-22T09:00:00Z'];

  it('have what failed at the bottom', () => {
    const bucket = { start, end, runs: 6, by_status: { success: 3, failure: 2, partial: 1 } };
    expect(statusBars({ interval: '1h', time_zone: 'UTC', total_runs: 6, buckets: [bucket] })).toEqual([{ start: new Date(start), end: new Date(end), values: [2, 1, 3] }]);
  });

  it('are missing where there was no run', () => {
    const bucket = { start, end, runs: 0, failures: 0, failure_rate: null, duration_ms: { p50: null, p95: null, p99: null } };
    const series = { interval: '1h' as const, time_zone: 'UTC', total_runs: 0, buckets: [bucket] };
    expect(ratePoints(series)[0]?.values).toEqual([null]);
    expect(durationPoints(series)[0]?.values).toEqual([null, null]);
  });
});
