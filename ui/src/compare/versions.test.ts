import { describe, expect, it } from 'vitest';

import type { CompareRate, Comparison } from '../api/types.ts';
import { compareGroups, MOST_CATEGORIES, pText, summary, twoTimes } from './versions.ts';

const verdict = { state: 'not_significant', test: 'fisher_exact', p_value: 0.5, p_adjusted: 0.8, effect_size: 0.01 } as const;
const none = { state: 'not_enough_data', test: null, p_value: null, p_adjusted: null, effect_size: null } as const;

const rate = (metric: string, name: string | null, base: number, candidate: number, more: Partial<CompareRate> = {}): CompareRate => ({
  metric,
  name,
  base: { runs: 1000, count: base, share: base / 1000 },
  candidate: { runs: 500, count: candidate, share: candidate / 500 },
  difference: candidate / 500 - base / 1000,
  confidence_interval: [candidate / 500 - base / 1000 - 0.02, candidate / 500 - base / 1000 + 0.02],
  ...verdict,
  ...more,
});

const comparison = (more: Partial<Comparison> = {}): Comparison => ({
  by: 'agent_version',
  agent_id: 'support',
  base: { name: '1', runs: 1000 },
  candidate: { name: '2', runs: 500 },
  state: 'significant',
  tested: 20,
  significant: 1,
  false_discovery_rate: 0.05,
  min_runs: 30,
  rates: [
    rate('failure_rate', null, 31, 42),
    rate('failure', 'model/rate_limited', 12, 6),
    rate('failure', 'tool/timeout', 2, 20, { state: 'significant', p_adjusted: 0.0001, effect_size: 0.31 }),
    rate('retry_rate', null, 100, 50),
    rate('signal', 'tool_failure/timeout=true', 3, 4),
  ],
  failures_left_out: 3,
  quantities: [
    {
      metric: 'step_latency_ms',
      name: 'tool',
      exact: true,
      base: { runs: 1000, mean: 10, p50: 200, p95: 900 },
      candidate: { runs: 500, mean: 10, p50: 250, p95: 800 },
      p50: { difference: 50, confidence_interval: [40, 60] },
      p95: { difference: -100, confidence_interval: [-200, null] },
      ...verdict,
    },
    {
      metric: 'retry_waste_ms',
      name: null,
      exact: false,
      base: { runs: 1000, mean: 0, p50: 0, p95: 0 },
      candidate: { runs: 500, mean: 1, p50: 0, p95: 900 },
      p50: { difference: 0, confidence_interval: [0, 0] },
      p95: { difference: 900, confidence_interval: [100, 1200] },
      ...verdict,
    },
    {
      metric: 'cost_usd',
      name: null,
      exact: true,
      base: { runs: 900, mean: 0.0125, p50: 0.012, p95: 0.04 },
      candidate: { runs: 400, mean: 0.0105, p50: 0.009, p95: 1.5 },
      p50: { difference: -0.003, confidence_interval: [-0.004, -0.0025] },
      p95: { difference: 1.46, confidence_interval: [0.5, null] },
      ...verdict,
    },
  ],
  distributions: [
    {
      metric: 'selected',
      name: 'tool_selection',
      base: 1000,
      candidate: 500,
      categories: [
        ...['a', 'b', 'c', 'd', 'e'].map((value, at) => ({
          values: [value],
          other: false,
          base: { runs: 1000, count: 100, share: 0.1 },
          candidate: { runs: 500, count: 50 + at, share: 0.1 + at / 500 },
          difference: at / 500,
          confidence_interval: [-0.01, 0.05],
        })),
        {
          values: [],
          other: true,
          base: { runs: 1000, count: 500, share: 0.5 },
          candidate: { runs: 500, count: 150, share: 0.3 },
          difference: -0.2,
          confidence_interval: [-0.3, -0.1],
        },
      ],
      ...verdict,
    },
  ],
  ...more,
});

const lines = (one = comparison(), only = false) => compareGroups(one, only).flatMap((group) => group.lines);

describe('a comparison', () => {
  it('has what differs first, and the order of the server otherwise', () => {
    const [failures] = compareGroups(comparison(), false);
    expect(failures?.lines.map(({ title }) => title)).toEqual(['tool/timeout', 'Runs that failed', 'model/rate_limited', 'Runs with retries']);
    expect(failures?.note).toBe('3 rarer failure codes are not compared.');
  });
  it('can be no more than what differs', () => {
    expect(lines(comparison(), true).map(({ title }) => title)).toEqual(['tool/timeout']);
    expect(compareGroups(comparison({ rates: [], significant: 0 }), true)).toEqual([]);
  });
  it('tells shares of both sides, their difference in points and its interval', () => {
    const line = lines().find(({ title }) => title === 'Runs that failed');
    expect(line).toMatchObject({
      base: { text: '3.1 %', detail: '31 of 1,000' },
      candidate: { text: '8.4 %', detail: '42 of 500' },
      difference: '+5.3 (+3.3 to +7.3)',
      runs: { status: ['failure'] },
    });
    expect(line?.interval?.value).toBeCloseTo(5.3);
    expect(line?.interval?.low).toBeCloseTo(3.3);
  });
  it('leads to the runs that each line is about', () => {
    const runs = Object.fromEntries(lines().map(({ title, runs }) => [title, runs]));
    expect(runs['tool/timeout']).toEqual({ failure: ['tool'], code: ['timeout'] });
    expect(runs['Runs with retries']).toEqual({ retries: 'true' });
    expect(runs['tool_failure/timeout = true']).toEqual({ signal_type: ['tool_failure'], signal: ['timeout'], signal_value: 'true' });
    expect(runs['Time in steps: tool, p50']).toEqual({ step_type: ['tool'], sort: 'duration_ms', order: 'desc' });
    expect(runs['all others']).toBeUndefined();
    expect(runs.e).toEqual({ decision: ['tool_selection'] });
  });
  it('draws times in percent of the base, open ends as open, and nothing where the base is nothing', () => {
    const found = lines();
    const p50 = found.find(({ title }) => title === 'Time in steps: tool, p50');
    expect(p50).toMatchObject({ difference: '+50 ms (+40 ms to +60 ms)', interval: { value: 25, low: 20, high: 30 } });
    const p95 = found.find(({ id }) => id === 'step_latency_ms tool p95');
    expect(p95).toMatchObject({ difference: '−100 ms (−200 ms to open)', isPart: true, state: undefined });
    expect(p95?.interval?.high).toBeNull();
    const waste = found.filter(({ id }) => id.startsWith('retry_waste_ms'));
    expect(waste.map(({ interval }) => interval)).toEqual([undefined, undefined]);
    expect(waste[1]?.difference).toBe('+900 ms (+100 ms to +1.20 s)');
  });
  it('tells costs in dollars', () => {
    const [p50, p95] = lines().filter(({ id }) => id.startsWith('cost_usd'));
    expect(p50).toMatchObject({ title: 'Cost, p50', base: { text: '$0.012', detail: 'of 900' }, difference: '−$0.003 (−$0.004 to −$0.0025)', runs: {} });
    expect(p95).toMatchObject({ candidate: { text: '$1.50' }, difference: '+$1.46 (+$0.50 to open)' });
  });
  it('has the categories that differ most, of each distribution', () => {
    const parts = lines().filter(({ id }) => id.startsWith('selected'));
    expect(parts.map(({ title }) => title)).toEqual(['Selected: tool_selection', 'all others', 'e', 'd', 'c', 'b']);
    expect(parts).toHaveLength(1 + MOST_CATEGORIES);
  });
  it('draws nothing and says why where there is not enough data', () => {
    const few = comparison({
      state: 'not_enough_data',
      candidate: { name: '2', runs: 12 },
      rates: [rate('failure_rate', null, 31, 4, { ...none, confidence_interval: null })],
      quantities: [],
      distributions: [],
    });
    expect(lines(few)[0]).toMatchObject({ interval: undefined, state: 'not_enough_data', difference: '−2.3' });
    expect(summary(few)).toBe('Not enough data: at least 30 runs are needed on a side, and 2 has 12. Counts are shown, and nothing is concluded.');
  });
  it('says what it comes to', () => {
    expect(summary(comparison())).toBe('1 of 20 comparisons differ. Of what differs, at most 5 % is expected to be chance.');
    expect(summary(comparison({ significant: 0, state: 'not_significant' }))).toBe(
      'No difference was shown in 20 comparisons. That is no proof that there is none.',
    );
  });
  it('has axes that reach far enough for nearly all of it', () => {
    for (const { reach, lines } of compareGroups(comparison(), false)) {
      const beyond = lines.filter(({ interval }) => interval !== undefined && Math.abs(interval.value) > reach);
      expect(beyond.length).toBeLessThanOrEqual(Math.ceil(lines.length * 0.05));
    }
  });
});

describe('a p-value', () => {
  it('has no more digits than tell something', () => {
    expect([0.0004, 0.0042, 0.042, 0.42].map(pText)).toEqual(['p < 0.001', 'p 0.004', 'p 0.04', 'p 0.42']);
  });
});

describe('two times', () => {
  const range = { start: new Date('2026-11-21T10:00:00Z'), end: new Date('2026-11-22T10:00:00Z') };
  it('touch, or lie further apart', () => {
    expect(twoTimes(range, undefined)).toEqual({
      base: '2026-11-20T10:00:00Z/2026-11-21T10:00:00Z',
      candidate: '2026-11-21T10:00:00Z/2026-11-22T10:00:00Z',
    });
    expect(twoTimes(range, 7 * 86_400_000)?.base).toBe('2026-11-14T10:00:00Z/2026-11-15T10:00:00Z');
  });
  it('never overlap', () => {
    expect(twoTimes(range, 3_600_000)).toBeUndefined();
    expect(twoTimes({ start: range.start }, undefined)).toBeUndefined();
    expect(twoTimes({}, undefined)).toBeUndefined();
  });
});
