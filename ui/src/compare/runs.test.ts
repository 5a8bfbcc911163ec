import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Decision, Run, Signal, Step } from '../api/types.ts';
import { barScale, CHANGES, compareRuns, lineOf, lines, nextDifference, speedChange } from './runs.ts';

const id = (side: string, number: number) => `${side}-${number}`;

function step(side: string, seq: number, more: Partial<Step> = {}): Step {
  return {
    step_id: id(side, seq),
    run_id: side,
    seq,
    step_type: 'tool',
    name: 'search',
    latency_ms: 100,
    started_at: '2026-11-22T09:00:00Z',
    ended_at: '2026-11-22T09:00:00Z',
    metadata: {},
    created_at: '2026-11-22T09:00:00Z',
    status: 'ok',
    error_code: null,
    parent_step_id: null,
    attempt: 1,
    attempts_total: 1,
    retry_group: null,
    ...more,
  };
}

function decision(side: string, seq: number | null, more: Partial<Decision> = {}): Decision {
  const at = '2026-11-22T09:00:00Z';
  return {
    decision_id: `${side}-${seq}-${JSON.stringify(more)}`,
    run_id: side,
    step_id: seq === null ? null : id(side, seq),
    decision_type: 'tool_selection',
    selected: 'cache',
    reason_code: 'cached_data_sufficient',
    confidence: 0.5,
    metadata: {},
    recorded_at: at,
    created_at: at,
    ...more,
  };
}

function signal(side: string, seq: number | null, value: boolean): Signal {
  const at = '2026-11-22T09:00:00Z';
  return {
    signal_id: `${side}-${seq}-${value}`,
    run_id: side,
    step_id: seq === null ? null : id(side, seq),
    signal_type: 'schema_valid',
    signal_code: 'full_match',
    value,
    weight: null,
    metadata: {},
    recorded_at: at,
    created_at: at,
    tone: 'plain',
  };
}

function run(side: string, steps: Step[], more: Partial<Run> = {}): Run {
  return {
    run_id: side,
    agent_id: 'agent',
    agent_version: '1',
    environment: 'production',
    status: 'success',
    started_at: '2026-11-22T09:00:00Z',
    ended_at: null,
    created_at: '2026-11-22T09:00:00Z',
    duration_ms: null,
    parent_run_id: null,
    parent_step_id: null,
    session_id: null,
    trace_id: null,
    metadata: {},
    removed_count: 0,
    position: 1,
    steps,
    failures: [],
    decisions: [],
    quality_signals: [],
    ...more,
  };
}

const anySteps = (side: string) =>
  fc
    .array(
      fc.record({
        step_type: fc.constantFrom('plan', 'tool', 'retrieve'),
        name: fc.constantFrom('x', 'y'),
        latency_ms: fc.nat(2000),
        status: fc.constantFrom('ok', 'failed'),
      }),
      { maxLength: 40 },
    )
    .map((all) => all.map((one, seq) => step(side, seq, one as Partial<Step>)));

describe('two runs', () => {
  it('that are the same differ in nothing', () => {
    fc.assert(
      fc.property(anySteps('a'), (steps) => {
        const one = run('a', steps, { decisions: [decision('a', 0), decision('a', null)], quality_signals: [signal('a', 0, true)] });
        const found = compareRuns(one, one);
        expect(found.rows.flatMap(({ changes }) => changes)).toEqual([]);
        expect([found.decisions, found.signals]).toEqual([[], []]);
        expect(found.totals.every(({ a, b }) => a.latencyMs === b.latencyMs && a.steps === b.steps)).toBe(true);
      }),
    );
  });
  it('turned round turn what they differ in round', () => {
    // Alignments can be equally long and not the same, so what is counted is what does not depend on that.
    fc.assert(
      fc.property(anySteps('a'), anySteps('b'), (a, b) => {
        const [there, back] = [compareRuns(run('a', a), run('b', b)), compareRuns(run('b', b), run('a', a))];
        expect(there.counts.added).toBe(back.counts.removed);
        expect(there.counts.removed).toBe(back.counts.added);
        const difference = (found: typeof there) => found.totals.reduce((sum, total) => sum + total.b.latencyMs - total.a.latencyMs, 0);
        expect(difference(there)).toBe(0 - difference(back));
      }),
    );
  });
  it('have each step once, and counts that are those of the rows', () => {
    fc.assert(
      fc.property(anySteps('a'), anySteps('b'), (a, b) => {
        const { rows, counts } = compareRuns(run('a', a), run('b', b));
        expect(rows.flatMap((row) => row.a ?? [])).toEqual(a);
        expect(rows.flatMap((row) => row.b ?? [])).toEqual(b);
        for (const change of CHANGES) expect(counts[change]).toBe(rows.filter(({ changes }) => changes.includes(change)).length);
      }),
    );
  });
  it('differ in outcome, speed, decisions and signals of the same step', () => {
    const a = run('a', [step('a', 0), step('a', 1, { name: 'gone' }), step('a', 2, { latency_ms: 500 })], {
      decisions: [decision('a', 0), decision('a', 1), decision('a', null)],
      quality_signals: [signal('a', 2, true)],
    });
    const b = run('b', [step('b', 0, { status: 'failed', error_code: 'timeout' }), step('b', 1, { latency_ms: 300 })], {
      decisions: [decision('b', 0, { selected: 'fetch' }), decision('b', null, { confidence: 0.9 })],
      quality_signals: [signal('b', 1, false), signal('b', null, true)],
    });
    const found = compareRuns(a, b);
    expect(found.rows.map(({ changes }) => changes)).toEqual([['outcome', 'decision'], ['removed'], ['faster', 'signal']]);
    expect(found.rows[2]?.differenceMs).toBe(-200);
    expect(found.decisions).toEqual([
      { subject: 'tool_selection', a: 'cache (cached_data_sufficient)', b: 'fetch (cached_data_sufficient)', count: 1, row: 0 },
      { subject: 'tool_selection', a: 'cache (cached_data_sufficient)', b: undefined, count: 1, row: 1 },
    ]);
    expect(found.signals).toEqual([
      { subject: 'schema_valid/full_match', a: undefined, b: 'true', count: 1, row: undefined },
      { subject: 'schema_valid/full_match', a: 'true', b: 'false', count: 1, row: 2 },
    ]);
  });
  it('have differences of one kind in one group', () => {
    const steps = (side: string) => [0, 1, 2].map((seq) => step(side, seq));
    const chosen = (side: string, selected: string) => [0, 1, 2].map((seq) => decision(side, seq, { selected }));
    const found = compareRuns(run('a', steps('a'), { decisions: chosen('a', 'x') }), run('b', steps('b'), { decisions: chosen('b', 'y') }));
    expect(found.decisions).toHaveLength(1);
    expect(found.decisions[0]).toMatchObject({ count: 3, row: 0 });
    expect(found.counts.decision).toBe(3);
  });
});

describe('a latency', () => {
  it('differs when it does so by a share and by a time', () => {
    expect(speedChange(10, 29)).toBeUndefined();
    expect(speedChange(10, 30)).toBe('slower');
    expect(speedChange(1000, 1199)).toBeUndefined();
    expect(speedChange(1000, 1200)).toBe('slower');
    expect(speedChange(1000, 800)).toBe('faster');
    expect(speedChange(0, 0)).toBeUndefined();
  });
});

describe('the lines of a comparison', () => {
  const { rows } = compareRuns(
    run('a', [0, 1, 2, 3, 4, 5].map((seq) => step('a', seq))),
    run('b', [0, 1, 2, 3, 4, 5].map((seq) => step('b', seq, seq === 4 ? { latency_ms: 900 } : {}))),
  );
  const differs = (row: (typeof rows)[number]) => row.changes.length > 0;

  it('hold each row once, whatever is wanted and opened', () => {
    fc.assert(
      fc.property(anySteps('a'), anySteps('b'), fc.uniqueArray(fc.nat(40)), fc.constantFrom(...CHANGES), (a, b, opened, change) => {
        const { rows } = compareRuns(run('a', a), run('b', b));
        const found = lines(rows, ({ changes }) => changes.includes(change), new Set(opened));
        const all = found.flatMap((line) =>
          line.kind === 'row' ? [line.row] : Array.from({ length: line.to - line.from }, (_, at) => line.from + at),
        );
        expect(all).toEqual(rows.map((_, at) => at));
        rows.forEach((row, at) => {
          const line = found[lineOf(found, at)];
          if (row.changes.includes(change)) expect(line).toEqual({ kind: 'row', row: at });
          else expect(line).toBeDefined();
        });
      }),
    );
  });
  it('leave out what is alike, and show what was opened', () => {
    expect(lines(rows, differs, new Set())).toEqual([
      { kind: 'ellipsis', from: 0, to: 4 },
      { kind: 'row', row: 4 },
      { kind: 'row', row: 5 },
    ]);
    expect(lines(rows, differs, new Set([0]))).toHaveLength(6);
  });
  it('lead from difference to difference, and round', () => {
    const all = lines(rows, differs, new Set());
    expect(nextDifference(all, rows, -1, 1)).toBe(1);
    expect(nextDifference(all, rows, 1, 1)).toBe(1);
    expect(nextDifference(all, rows, 0, -1)).toBe(1);
    expect(nextDifference([], rows, 0, 1)).toBeUndefined();
  });
  it('have bars of which the longest is one of the long ones', () => {
    expect(barScale(rows)).toBe(900);
    expect(barScale([])).toBe(1);
  });
});
