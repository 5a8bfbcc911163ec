/**
 * The rows of a run: its steps with what belongs to each, in times that count from the run's start. Pure. What an attempt is,
 * what failed and what asks for attention is what the server says; nothing of that is worked out here.
 */

import type { Decision, Failure, Run, Signal, Step, StepType } from '../api/types.ts';

export interface Row {
  step: Step;
  /** Where it stands among all steps. */
  index: number;
  /** In ms from the run's start; negative where a clock was ahead of the run's. */
  start: number;
  end: number;
  /** How deep it stands under other steps. */
  depth: number;
  failures: readonly Failure[];
  decisions: readonly Decision[];
  signals: readonly Signal[];
  /** It failed, or it is an attempt that another one followed. */
  failed: boolean;
  /** How long nothing ran before it, in ms; the time between attempts is back-off. */
  idle: number;
  /** From the end of the attempt before it, in ms; there is none before a first attempt. */
  backoff: number | undefined;
  /** Why its times do not fit the run's. */
  skew: string | undefined;
}

export interface Timeline {
  rows: readonly Row[];
  /** From the first thing that happened to the last, in ms from the run's start. */
  span: Window;
  /** The rows of each retry group, in the order of their attempts. */
  groups: ReadonlyMap<string, readonly Row[]>;
  /** The row of the first failure that names a step. */
  failure: Row | undefined;
  byId: ReadonlyMap<string, Row>;
}

/** A piece of the run's time, in ms from its start. */
export interface Window {
  start: number;
  end: number;
}

/** Microseconds of a time, as the server writes it; enough digits that steps of a fast run do not fall together. */
export function micros(time: string): number {
  const fraction = /\.(\d{1,6})/.exec(time)?.[1] ?? '';
  return Date.parse(time.replace(/\.\d+/, '')) * 1000 + Number(fraction.padEnd(6, '0'));
}

function byStep<T extends { step_id: string | null }>(all: readonly T[]): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const one of all) {
    if (one.step_id === null) continue;
    const there = found.get(one.step_id);
    if (there === undefined) found.set(one.step_id, [one]);
    else there.push(one);
  }
  return found;
}

const NONE: readonly never[] = [];

export function timelineOf(run: Run): Timeline {
  const [failures, decisions, signals] = [byStep(run.failures), byStep(run.decisions), byStep(run.quality_signals)];
  const began = micros(run.started_at);
  const at = (time: string) => (micros(time) - began) / 1000;
  const runEnd = run.ended_at === null ? undefined : at(run.ended_at);
  const depths = new Map<string, number>();
  const lastAttempt = new Map<string, number>();
  const groups = new Map<string, Row[]>();
  const byId = new Map<string, Row>();
  // Nothing ran before the run began.
  let ended = 0;
  const rows = run.steps.map((step, index): Row => {
    const [start, end] = [at(step.started_at), at(step.ended_at)];
    const depth = step.parent_step_id === null ? 0 : Math.min(8, (depths.get(step.parent_step_id) ?? -1) + 1);
    depths.set(step.step_id, depth);
    const own = failures.get(step.step_id) ?? NONE;
    const before = step.retry_group === null ? undefined : lastAttempt.get(step.retry_group);
    const row: Row = {
      step,
      index,
      start,
      end: Math.max(start, end),
      depth,
      failures: own,
      decisions: decisions.get(step.step_id) ?? NONE,
      signals: signals.get(step.step_id) ?? NONE,
      failed: step.status === 'failed' || step.attempt < step.attempts_total || (own.length > 0 && run.status === 'failure'),
      idle: before === undefined ? Math.max(0, start - ended) : 0,
      backoff: before === undefined ? undefined : Math.max(0, start - before),
      skew: skewOf(start, end, runEnd),
    };
    ended = Math.max(ended, row.end);
    byId.set(step.step_id, row);
    if (step.retry_group !== null) {
      lastAttempt.set(step.retry_group, row.end);
      const group = groups.get(step.retry_group);
      if (group === undefined) groups.set(step.retry_group, [row]);
      else group.push(row);
    }
    return row;
  });
  for (const group of groups.values()) group.sort((a, b) => a.step.attempt - b.step.attempt);
  const named = run.failures.find((failure) => failure.step_id !== null && byId.has(failure.step_id));
  return {
    rows,
    span: {
      start: rows.reduce((least, row) => Math.min(least, row.start), 0),
      // A run without a length still has an axis.
      end: rows.reduce((most, row) => Math.max(most, row.end), Math.max(1, runEnd ?? 1)),
    },
    groups,
    failure: byId.get(named?.step_id ?? ''),
    byId,
  };
}

function skewOf(start: number, end: number, runEnd: number | undefined): string | undefined {
  if (end < start) return 'end before start';
  if (start < 0) return 'starts before the run';
  if (runEnd !== undefined && end > runEnd + 1) return 'ends after the run';
  return undefined;
}

export interface RowFilter {
  q?: string;
  types?: readonly StepType[];
  only?: 'failed' | 'retries' | 'slow' | 'decisions';
  /** From how many ms on a step is slow; the server's p95 of the run. */
  slowMs?: number | null;
}

/** The rows that the filter lets through. */
export function filterRows(rows: readonly Row[], { q, types, only, slowMs }: RowFilter): readonly Row[] {
  const words = (q ?? '').toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (words.length === 0 && types === undefined && only === undefined) return rows;
  return rows.filter((row) => {
    const { step } = row;
    if (types !== undefined && !types.includes(step.step_type)) return false;
    if (only === 'failed' && !row.failed) return false;
    if (only === 'retries' && step.attempts_total < 2) return false;
    if (only === 'slow' && !isSlow(row, slowMs)) return false;
    if (only === 'decisions' && row.decisions.length === 0) return false;
    const name = step.name.toLowerCase();
    return words.every((word) => name.includes(word) || `#${step.seq}` === word);
  });
}

export function isSlow(row: Row, slowMs: number | null | undefined): boolean {
  return slowMs !== null && slowMs !== undefined && row.step.latency_ms >= slowMs;
}

/** The row that failed after (or before) `index`, going around. */
export function nextFailed(rows: readonly Row[], index: number, by: 1 | -1): Row | undefined {
  for (let away = 1; away <= rows.length; away++) {
    const row = rows[(((index + by * away) % rows.length) + rows.length) % rows.length];
    if (row?.failed === true) return row;
  }
  return undefined;
}
