/** The signs of the domain: a status, a step type. One way to show each, never by colour alone. */

import type { RunStatus, StepType } from '../api/types.ts';
import { Badge, type Tone } from '../ui/badge.tsx';
import { cx } from '../ui/class.ts';

export const STATUS_SYMBOL: Record<RunStatus, string> = { success: '✓', failure: '✕', partial: '◐', running: '◌' };
const STATUS_TONE: Record<RunStatus, Tone> = { success: 'success', failure: 'failure', partial: 'partial', running: 'running' };

export function StatusBadge({ status }: { status: RunStatus }) {
  return (
    <Badge tone={STATUS_TONE[status]} symbol={STATUS_SYMBOL[status]}>
      {status}
    </Badge>
  );
}

/** A status in a table: no pill, so that a page of them stays calm. */
export function StatusWord({ status }: { status: RunStatus }) {
  return (
    <span
      className={cx('inline-flex items-center gap-1.5', {
        success: 'text-success',
        failure: 'text-failure',
        partial: 'text-partial',
        running: 'text-running',
      }[status])}
    >
      <span aria-hidden="true">{STATUS_SYMBOL[status]}</span>
      {status}
    </span>
  );
}

export const STEP_LETTER: Record<StepType, string> = { plan: 'P', retrieve: 'R', tool: 'T', respond: 'A', other: 'O' };
export const STEP_COLOR: Record<StepType, string> = {
  plan: 'var(--plan)',
  retrieve: 'var(--retrieve)',
  tool: 'var(--tool)',
  respond: 'var(--respond)',
  other: 'var(--other)',
};

/** The letter of a step type in a box of its colour. */
export function StepMark({ type, large = false }: { type: StepType; large?: boolean }) {
  const color = STEP_COLOR[type];
  return (
    <span
      title={type}
      style={{ borderColor: color, background: `color-mix(in srgb, ${color} 22%, var(--bg))` }}
      className={cx(
        'inline-flex shrink-0 items-center justify-center rounded-sm border text-11 leading-none font-semibold text-ink',
        large ? 'size-5' : 'size-4',
      )}
    >
      <span aria-hidden="true">{STEP_LETTER[type]}</span>
    </span>
  );
}
