import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Run, Step } from '../api/types.ts';
import { bracketAt, fitText, lanePieces, layoutRow, MIN_BAR, parseWindow, visibleRows, windowOf, windowText } from './layout.ts';
import { filterRows, micros, nextFailed, timelineOf } from './rows.ts';

const T0 = Date.parse('2026-11-22T09:00:00Z');
const iso = (ms: number) => new Date(T0 + ms).toISOString();

function step(seq: number, start: number, length: number, more: Partial<Step> = {}): Step {
  return {
    step_id: `step-${seq}`,
    run_id: 'run',
    seq,
    step_type: 'tool',
    name: `name.${seq}`,
    latency_ms: length,
    started_at: iso(start),
    ended_at: iso(start + length),
    metadata: {},
    created_at: iso(0),
    status: 'ok',
    error_code: null,
    parent_step_id: null,
    attempt: 1,
    attempts_total: 1,
    retry_group: null,
    ...more,
  };
}

function run(steps: Step[], more: Partial<Run> = {}): Run {
  return {
    run_id: 'run',
    agent_id: 'agent',
    agent_version: '1',
    environment: 'production',
    status: 'failure',
    started_at: iso(0),
    ended_at: iso(10_000),
    created_at: iso(0),
    duration_ms: 10_000,
    parent_run_id: null,
    parent_step_id: null,
    session_id: null,
    trace_id: null,
    metadata: {},
    removed_count: 0,
    position: 0,
    steps,
    failures: [],
    decisions: [],
    quality_signals: [],
    ...more,
  };
}

const retried = [
  step(0, 0, 100),
  step(1, 100, 1000, { attempt: 1, attempts_total: 2, retry_group: 'step-1', status: 'failed' }),
  step(2, 1500, 800, { attempt: 2, attempts_total: 2, retry_group: 'step-1', status: 'failed', name: 'tickets.update' }),
  step(3, 4300, 200, { step_type: 'respond' }),
];
const failure = { failure_id: 'f', run_id: 'run', step_id: 'step-2', failure_type: 'tool', failure_code: 'timeout', message: 'm', created_at: iso(0) } as const;

describe('the rows of a run', () => {
  it('tell attempts, back-off and idle time apart', () => {
    const { rows, groups, failure: failed } = timelineOf(run(retried, { failures: [failure] }));
    expect(rows.map(({ start, end }) => [start, end])).toEqual([[0, 100], [100, 1100], [1500, 2300], [4300, 4500]]);
    expect(rows.map(({ idle }) => idle)).toEqual([0, 0, 0, 2000]);
    expect(rows.map(({ backoff }) => backoff)).toEqual([undefined, undefined, 400, undefined]);
    expect(rows.map((row) => row.failed)).toEqual([false, true, true, false]);
    expect(groups.get('step-1')?.map(({ index }) => index)).toEqual([1, 2]);
    expect(failed?.index).toBe(2);
  });
  it('say when clocks differ, and never have an end before the start', () => {
    const { rows, span } = timelineOf(run([step(0, -500, 100), step(1, 9_000, 5_000), { ...step(2, 100, 0), ended_at: iso(50) }]));
    expect(rows.map(({ skew }) => skew)).toEqual(['starts before the run', 'ends after the run', 'end before start']);
    expect(rows.every(({ start, end }) => end >= start)).toBe(true);
    expect(span).toEqual({ start: -500, end: 14_000 });
  });
  it('stand under their parents', () => {
    const rows = timelineOf(run([step(0, 0, 9), step(1, 0, 9, { parent_step_id: 'step-0' }), step(2, 0, 9, { parent_step_id: 'step-1' }), step(3, 0, 9, { parent_step_id: 'gone' })])).rows;
    expect(rows.map(({ depth }) => depth)).toEqual([0, 1, 2, 0]);
  });
  it('keep microseconds apart', () => {
    expect(micros('2026-11-22T09:00:00.000001Z') - micros('2026-11-22T09:00:00Z')).toBe(1);
    expect(micros('2026-11-22T09:00:00.5Z') - micros('2026-11-22T09:00:00Z')).toBe(500_000);
  });
  it('are filtered by name, type, and what they are', () => {
    const { rows } = timelineOf(run(retried, { failures: [failure] }));
    const of = (filter: Parameters<typeof filterRows>[1]) => filterRows(rows, filter).map(({ index }) => index);
    expect(of({})).toEqual([0, 1, 2, 3]);
    expect(of({ q: 'TICKETS update' })).toEqual([2]);
    expect(of({ q: '#3' })).toEqual([3]);
    expect(of({ types: ['respond', 'plan'] })).toEqual([3]);
    expect(of({ only: 'failed' })).toEqual([1, 2]);
    expect(of({ only: 'retries' })).toEqual([1, 2]);
    expect(of({ only: 'slow', slowMs: 800 })).toEqual([1, 2]);
    // While nobody knows what is slow, nothing is.
    expect(of({ only: 'slow' })).toEqual([]);
  });
  it('are gone through from failure to failure, around the end', () => {
    const { rows } = timelineOf(run(retried));
    expect([nextFailed(rows, -1, 1), nextFailed(rows, 2, 1), nextFailed(rows, 0, -1)].map((row) => row?.index)).toEqual([1, 1, 2]);
    expect(nextFailed([], 0, 1)).toBeUndefined();
    expect(nextFailed(rows.slice(0, 1), 0, 1)).toBeUndefined();
  });
});

const spans = fc.record({ start: fc.integer({ min: 0, max: 9000 }), length: fc.integer({ min: 0, max: 5000 }) });
const someRows = fc.array(spans, { minLength: 1, maxLength: 40 }).map((all) => timelineOf(run(all.map(({ start, length }, seq) => step(seq, start, length)))));

describe('the axis', () => {
  it('shows all rows in view and nothing outside of the run', () => {
    fc.assert(
      fc.property(someRows, fc.nat(40), fc.nat(40), ({ rows, span }, a, b) => {
        const [first, end] = [Math.min(a, b), Math.max(a, b)];
        const window = windowOf(rows, first, end, span);
        expect(window.start).toBeGreaterThanOrEqual(span.start);
        expect(window.end).toBeLessThanOrEqual(span.end);
        for (const row of rows.slice(first, end)) {
          expect(row.start).toBeGreaterThanOrEqual(window.start);
          expect(row.end).toBeLessThanOrEqual(window.end);
        }
      }),
    );
  });
  it('is the same again from the address', () => {
    const span = { start: 0, end: 500_000 };
    expect(parseWindow(windowText({ start: 1234, end: 99_000 }), span)).toEqual({ start: 1234, end: 99_000 });
    expect(parseWindow(windowText({ start: 1.25, end: 2.75 }), span)).toEqual({ start: 1.3, end: 2.8 });
    expect(parseWindow('600000..700000', span)).toBeUndefined();
    expect(parseWindow('x', span)).toBeUndefined();
  });
});

describe('a row', () => {
  it('is drawn inside of its axis, whatever it shows', () => {
    const windows = fc.tuple(fc.integer({ min: 0, max: 12_000 }), fc.integer({ min: 1, max: 12_000 })).map(([start, length]) => ({ start, end: start + length }));
    fc.assert(
      fc.property(someRows, windows, fc.integer({ min: 40, max: 1500 }), fc.nat(300), ({ rows }, window, width, beside) => {
        for (const row of rows) {
          const { bar, outside } = layoutRow(row, window, 100, width, beside);
          expect(bar === undefined).toBe(outside !== undefined);
          if (bar === undefined) continue;
          expect(bar.x).toBeGreaterThanOrEqual(100);
          expect(bar.width).toBeGreaterThanOrEqual(MIN_BAR);
          expect(bar.x + bar.width).toBeLessThanOrEqual(100 + width + 1e-6);
        }
      }),
    );
  });
  it('has its words on the right while they fit there, else on the left', () => {
    const [row] = timelineOf(run([step(0, 8000, 1000)])).rows;
    if (row === undefined) throw new Error('there is a row');
    const window = { start: 0, end: 10_000 };
    expect(layoutRow(row, window, 0, 1000, 50).beside).toEqual({ x: 908, side: 'right' });
    expect(layoutRow(row, window, 0, 1000, 120).beside).toEqual({ x: 792, side: 'left' });
  });
  it('waits along a dashed line after the attempt before', () => {
    const row = timelineOf(run(retried)).rows[2];
    if (row === undefined) throw new Error('there is a row');
    expect(layoutRow(row, { start: 0, end: 10_000 }, 0, 1000, 0).backoff).toEqual({ x: 110, width: 40 });
  });
  describe('whose words stand left of a bar that was waited for', () => {
    // The attempt before ended at 1.1 s, and this one begins at 1.5 s: 40 px of a line, then the bar up to 190 px.
    const row = timelineOf(run(retried)).rows[2];
    if (row === undefined) throw new Error('there is a row');
    /** On an axis that begins at `start` and ends right behind the bar, in 10 ms a px. */
    const shown = (start: number, words: number) => layoutRow(row, { start, end: row.end + 100 }, 0, (row.end + 100 - start) / 10, words);
    it('has them before a short line', () => {
      const { backoff, beside } = shown(0, 60);
      expect(backoff).toEqual({ x: 110, width: 40 });
      expect(beside).toEqual({ x: 102, side: 'left' });
    });
    it('has them at the bar, and a shorter line, where the line is long', () => {
      const { backoff, beside } = shown(0, 12);
      expect(beside).toEqual({ x: 142, side: 'left' });
      expect(backoff).toEqual({ x: 110, width: 16 });
    });
    it('has them and no line where there is no room for both', () => {
      const { backoff, beside } = shown(1000, 40);
      expect(beside).toEqual({ x: 42, side: 'left' });
      expect(backoff).toBeUndefined();
    });
  });
  it('has no words on its dashed line or on its bar, wherever it stands', () => {
    const retries = fc
      .tuple(fc.nat(9000), fc.nat(3000), fc.nat(3000), fc.integer({ min: 1, max: 3000 }))
      .map(([start, first, wait, second]) => [
        step(0, start, first, { retry_group: 'g', attempts_total: 2 }),
        step(1, start + first + wait, second, { retry_group: 'g', attempt: 2, attempts_total: 2 }),
      ]);
    fc.assert(
      fc.property(retries, fc.nat(9000), fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 40, max: 1500 }), fc.nat(300), (steps, start, length, width, words) => {
        const row = timelineOf(run(steps)).rows[1];
        if (row === undefined) throw new Error('there is a row');
        const { bar, backoff, beside } = layoutRow(row, { start, end: start + length }, 100, width, words);
        if (bar === undefined) return;
        const [from, to] = beside.side === 'right' ? [beside.x, beside.x + words] : [beside.x - words, beside.x];
        expect(from >= bar.x + bar.width || to <= bar.x).toBe(true);
        if (backoff === undefined) return;
        expect(backoff.x).toBeGreaterThanOrEqual(100);
        expect(backoff.width).toBeGreaterThan(0);
        expect(from >= backoff.x + backoff.width || to <= backoff.x).toBe(true);
      }),
    );
  });
  it('is in a bracket with its neighbours of one operation', () => {
    const { rows } = timelineOf(run(retried));
    expect([0, 1, 2, 3].map((at) => bracketAt(rows, at))).toEqual([undefined, { first: true, last: false }, { first: false, last: true }, undefined]);
  });
});

describe('what is in view', () => {
  it('is whole, and no more than the view holds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 0, max: 2000 }), fc.nat(10_000), (top, height, count) => {
        const [first, end] = visibleRows(top, height, 26, count);
        expect(first).toBeLessThanOrEqual(end);
        expect(end).toBeLessThanOrEqual(count);
        expect(end - first).toBeLessThanOrEqual(Math.ceil(height / 26) + 1);
      }),
    );
  });
});

describe('the minimap', () => {
  it('has something of every row, and nothing twice', () => {
    fc.assert(
      fc.property(someRows, fc.integer({ min: 1, max: 300 }), ({ rows, span }, columns) => {
        const pieces = lanePieces(rows, span, columns);
        pieces.forEach(([from, to], at) => {
          expect(to).toBeGreaterThan(from);
          if (at > 0) expect(from).toBeGreaterThan(pieces[at - 1]?.[1] ?? 0);
        });
        for (const row of rows) {
          const column = Math.min(columns - 1, Math.floor(((row.start - span.start) / (span.end - span.start)) * columns));
          expect(pieces.some(([from, to]) => column >= from && column < to)).toBe(true);
        }
      }),
    );
  });
});

describe('a name that is too long', () => {
  it('is cut to what fits, between characters', () => {
    const measure = (text: string) => Array.from(text).length * 10;
    expect(fitText('tickets.update', 200, measure)).toBe('tickets.update');
    expect(fitText('tickets.update', 80, measure)).toBe('tickets…');
    expect(fitText('😀😀😀😀', 30, measure)).toBe('😀😀…');
    expect(fitText('abc', 5, measure)).toBe('');
  });
});
