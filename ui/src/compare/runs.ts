/** What is different between two runs: pure, from what the API says of each. */

import type { Decision, Run, Signal, Step, StepType } from '../api/types.ts';
import { align } from './align.ts';

/** What became of a step from A to B. */
export const CHANGES = ['removed', 'added', 'slower', 'faster', 'outcome', 'decision', 'signal'] as const;
export type Change = (typeof CHANGES)[number];

/** A step counts as slower or faster when its latency differs by so much of A's, and by so many milliseconds. */
export const NOTABLE_SHARE = 0.2;
export const NOTABLE_MS = 20;

/** Steps that belong together, or one that has none on the other side. */
export interface Row {
  a: Step | undefined;
  b: Step | undefined;
  /** Latency of B less that of A; nothing where one side is missing. */
  differenceMs: number | undefined;
  /** In what they differ; empty where they are alike. */
  changes: readonly Change[];
}

/** Decisions or signals that differ in the same way: what stands in A, what stands in B. */
export interface Difference {
  /** Of which type, and for signals of which code. */
  subject: string;
  /** Nothing: there is none on this side. */
  a: string | undefined;
  b: string | undefined;
  count: number;
  /** The first row in which it is so; nothing where no step is named. */
  row: number | undefined;
}

/** All steps of one type and name. */
export interface StepTotal {
  type: StepType;
  name: string;
  a: { steps: number; latencyMs: number };
  b: { steps: number; latencyMs: number };
}

export interface RunDifferences {
  rows: readonly Row[];
  /** How many rows differ in each way. */
  counts: Record<Change, number>;
  /** The most frequent first. */
  decisions: readonly Difference[];
  signals: readonly Difference[];
  /** Those whose time differs most first. */
  totals: readonly StepTotal[];
}

const key = ({ step_type, name }: Pick<Step, 'step_type' | 'name'>) => `${step_type} ${name}`;

/** Compares two runs. Steps belong together by type and name, as many as possible in the order in which they ran. */
export function compareRuns(a: Run, b: Run): RunDifferences {
  const pairs = align(a.steps.map(key), b.steps.map(key));
  const rowOf = { a: new Map<string, number>(), b: new Map<string, number>() };
  pairs.forEach((pair, row) => {
    const [stepA, stepB] = [pair.a === undefined ? undefined : a.steps[pair.a], pair.b === undefined ? undefined : b.steps[pair.b]];
    if (stepA !== undefined) rowOf.a.set(stepA.step_id, row);
    if (stepB !== undefined) rowOf.b.set(stepB.step_id, row);
  });
  const decisions = differences(a.decisions, b.decisions, rowOf, decisionSubject, decisionText);
  const signals = differences(a.quality_signals, b.quality_signals, rowOf, signalSubject, ({ value }) => String(value));

  const counts: Record<Change, number> = { removed: 0, added: 0, slower: 0, faster: 0, outcome: 0, decision: 0, signal: 0 };
  const rows = pairs.map((pair, at): Row => {
    const stepA = pair.a === undefined ? undefined : a.steps[pair.a];
    const stepB = pair.b === undefined ? undefined : b.steps[pair.b];
    const changes: Change[] = [];
    if (stepB === undefined) changes.push('removed');
    else if (stepA === undefined) changes.push('added');
    else {
      const speed = speedChange(stepA.latency_ms, stepB.latency_ms);
      if (speed !== undefined) changes.push(speed);
      if (stepA.status !== stepB.status || stepA.error_code !== stepB.error_code) changes.push('outcome');
      // What hangs on a step that the other side does not have is said by the step.
      if (decisions.rows.has(at)) changes.push('decision');
      if (signals.rows.has(at)) changes.push('signal');
    }
    for (const change of changes) counts[change]++;
    return {
      a: stepA,
      b: stepB,
      differenceMs: stepA === undefined || stepB === undefined ? undefined : stepB.latency_ms - stepA.latency_ms,
      changes,
    };
  });
  return { rows, counts, decisions: decisions.groups, signals: signals.groups, totals: totals(a.steps, b.steps) };
}

/** Whether a latency differs by so much that it is told. */
export function speedChange(a: number, b: number): 'slower' | 'faster' | undefined {
  const by = b - a;
  if (Math.abs(by) < Math.max(NOTABLE_MS, NOTABLE_SHARE * a)) return undefined;
  return by > 0 ? 'slower' : 'faster';
}

const decisionSubject = ({ decision_type }: Decision) => decision_type;
const decisionText = ({ selected, reason_code }: Decision) => `${selected} (${reason_code})`;
const signalSubject = ({ signal_type, signal_code }: Signal) => `${signal_type}/${signal_code}`;

/**
 * What differs between what hangs on the steps of both sides: the first of a subject on a row belongs to the first of the
 * same subject on the same row, and so on; those of no step belong to each other likewise.
 */
function differences<T extends { step_id: string | null }>(
  a: readonly T[],
  b: readonly T[],
  rowOf: { a: ReadonlyMap<string, number>; b: ReadonlyMap<string, number> },
  subjectOf: (one: T) => string,
  textOf: (one: T) => string,
): { groups: Difference[]; rows: Set<number> } {
  interface Place {
    subject: string;
    row: number | undefined;
    a: string | undefined;
    b: string | undefined;
  }
  const places = new Map<string, Place>();
  const put = (side: 'a' | 'b', all: readonly T[]) => {
    const seen = new Map<string, number>();
    for (const one of all) {
      const row = one.step_id === null ? undefined : rowOf[side].get(one.step_id);
      const subject = subjectOf(one);
      const about = `${row ?? ''} ${subject}`;
      const number = seen.get(about) ?? 0;
      seen.set(about, number + 1);
      const id = `${about} ${number}`;
      const place = places.get(id) ?? { subject, row, a: undefined, b: undefined };
      place[side] = textOf(one);
      places.set(id, place);
    }
  };
  put('a', a);
  put('b', b);

  const groups = new Map<string, Difference>();
  const rows = new Set<number>();
  const inOrder = [...places.values()].filter((place) => place.a !== place.b).sort((x, y) => (x.row ?? -1) - (y.row ?? -1));
  for (const { subject, row, a, b } of inOrder) {
    if (row !== undefined) rows.add(row);
    const id = JSON.stringify([subject, a, b]);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, { subject, a, b, count: 1, row });
    else group.count++;
  }
  return { groups: [...groups.values()].sort((x, y) => y.count - x.count), rows };
}

function totals(a: readonly Step[], b: readonly Step[]): StepTotal[] {
  const found = new Map<string, StepTotal>();
  for (const [side, steps] of [['a', a], ['b', b]] as const) {
    for (const step of steps) {
      const id = key(step);
      let total = found.get(id);
      if (total === undefined) {
        total = { type: step.step_type, name: step.name, a: { steps: 0, latencyMs: 0 }, b: { steps: 0, latencyMs: 0 } };
        found.set(id, total);
      }
      total[side].steps++;
      total[side].latencyMs += step.latency_ms;
    }
  }
  const by = (total: StepTotal) => Math.abs(total.b.latencyMs - total.a.latencyMs);
  return [...found.values()].sort((x, y) => by(y) - by(x));
}

/** A line of the table: a row, or several rows in a row that are not asked for. */
export type Line = { kind: 'row'; row: number } | { kind: 'ellipsis'; from: number; to: number };

/** So many rows are shown rather than left out: the ellipsis would take as much room. */
const WORTH_LEAVING_OUT = 3;

/** The lines that are shown: rows that are wanted, and ellipses for all others but those that were opened, by their first row. */
export function lines(rows: readonly Row[], isWanted: (row: Row) => boolean, opened: ReadonlySet<number>): Line[] {
  const found: Line[] = [];
  let from = 0;
  const flush = (to: number) => {
    if (to - from >= WORTH_LEAVING_OUT && !opened.has(from)) found.push({ kind: 'ellipsis', from, to });
    else for (let row = from; row < to; row++) found.push({ kind: 'row', row });
  };
  rows.forEach((row, at) => {
    if (!isWanted(row)) return;
    flush(at);
    found.push({ kind: 'row', row: at });
    from = at + 1;
  });
  flush(rows.length);
  return found;
}

/** The line that shows a row, as itself or within an ellipsis. */
export function lineOf(all: readonly Line[], row: number): number {
  return all.findIndex((line) => (line.kind === 'row' ? line.row === row : line.from <= row && row < line.to));
}

/** The line of the next row (`by` 1) or the one before (-1) that differs, from line `at` on; it begins anew at the end. */
export function nextDifference(all: readonly Line[], rows: readonly Row[], at: number, by: 1 | -1): number | undefined {
  for (let step = 1; step <= all.length; step++) {
    const index = (((at + by * step) % all.length) + all.length) % all.length;
    const line = all[index];
    if (line?.kind === 'row' && (rows[line.row]?.changes.length ?? 0) > 0) return index;
  }
  return undefined;
}

/** How long the longest bar is: nearly all are shorter, and the few that are longer are drawn as cut. */
export function barScale(rows: readonly Row[]): number {
  const all = rows.flatMap(({ a, b }) => [a?.latency_ms, b?.latency_ms]).filter((ms) => ms !== undefined);
  all.sort((x, y) => x - y);
  return Math.max(1, all[Math.floor(all.length * 0.98)] ?? 1);
}
