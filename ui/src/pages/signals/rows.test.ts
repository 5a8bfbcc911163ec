import { describe, expect, it } from 'vitest';

import type { SignalCodeCounts, Signals } from '../../api/types.ts';
import { attentionOverTime, attentionRate, rateOverTime, signalRows } from './rows.ts';

const code = (signal_code: SignalCodeCounts['signal_code'], counts: [number, number], runs: [number, number], attention_value: boolean) => ({
  signal_code,
  count: counts[0] + counts[1],
  runs: runs[0] + runs[1],
  count_true: counts[0],
  count_false: counts[1],
  runs_true: runs[0],
  runs_false: runs[1],
  attention: attention_value ? counts[0] : counts[1],
  attention_value,
});

const SIGNALS: Signals = {
  total_runs: 50,
  total_signals: 70,
  types: [
    { signal_type: 'schema_valid', count: 40, runs: 40, codes: [code('full_match', [37, 3], [36, 3], false), code('validation_failed', [5, 0], [5, 0], true)] },
    { signal_type: 'tool_success', count: 30, runs: 20, codes: [code('first_attempt', [30, 0], [20, 0], false)] },
  ],
  timeline: {
    interval: '1h',
    time_zone: 'UTC',
    total_runs: 50,
    buckets: [
      {
        start: '2026-11-22T08:00:00Z',
        end: '2026-11-22T09:00:00Z',
        runs: 40,
        codes: [
          { signal_type: 'schema_valid', signal_code: 'full_match', count_true: 30, count_false: 2, runs_true: 30, runs_false: 2 },
          { signal_type: 'schema_valid', signal_code: 'validation_failed', count_true: 4, count_false: 0, runs_true: 4, runs_false: 0 },
        ],
      },
      { start: '2026-11-22T09:00:00Z', end: '2026-11-22T10:00:00Z', runs: 0, codes: [] },
      { start: '2026-11-22T10:00:00Z', end: '2026-11-22T11:00:00Z', runs: 10, codes: [] },
    ],
  },
};

describe('the rows of signals', () => {
  it('are a code and a value each, those that ask for attention first, and only those that occur', () => {
    expect(signalRows(SIGNALS).map(({ id, attention, count, runs }) => [id, attention, count, runs])).toEqual([
      ['schema_valid/full_match/false', true, 3, 3],
      ['schema_valid/full_match/true', false, 37, 36],
      ['schema_valid/validation_failed/true', true, 5, 5],
      ['tool_success/first_attempt/true', false, 30, 20],
    ]);
  });
});

describe('rates over time', () => {
  it('are shares of the runs of each bucket, and missing where there was no run', () => {
    const points = rateOverTime(SIGNALS.timeline?.buckets ?? [], { type: 'schema_valid', code: 'full_match', value: false });
    expect(points.map(({ values }) => values[0])).toEqual([5, null, 0]);
  });

  it('of attention add up the values that ask for it', () => {
    expect(attentionRate(SIGNALS, 'schema_valid')).toBe(16);
    expect(attentionRate(SIGNALS, 'tool_success')).toBe(0);
    expect(attentionRate({ ...SIGNALS, total_runs: 0 }, 'schema_valid')).toBeUndefined();
    expect(attentionOverTime(SIGNALS, 'schema_valid').map(({ values }) => values[0])).toEqual([15, null, 0]);
  });
});
