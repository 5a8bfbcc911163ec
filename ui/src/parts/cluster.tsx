/** How a cluster of failures is written: what failed, at which step, and on which way there. */

import type { Cause, StepName } from '../api/types.ts';
import { failureName } from './cluster-words.ts';
import { StepMark } from './marks.tsx';

export function FailureName({ cause }: { cause: Cause | null }) {
  return (
    <span className="font-mono text-12 font-semibold text-failure">
      <span aria-hidden="true">✕ </span>
      {failureName(cause)}
    </span>
  );
}

export function FailingStep({ cause }: { cause: Cause | null }) {
  const step = cause?.step ?? undefined;
  return step === undefined ? <span className="text-ink-3">no step</span> : <StepLabel step={step} />;
}

export function StepLabel({ step }: { step: StepName }) {
  return (
    <span className="inline-flex max-w-full min-w-0 items-center gap-1.5 align-middle">
      <StepMark type={step.step_type} />
      <span className="truncate">{step.name}</span>
    </span>
  );
}

/** The operations before the failing one by their names, the last ones where there is no room for all. */
export function PathText({ path, last = 2 }: { path: readonly StepName[]; last?: number }) {
  const names = path.map(({ name }) => name).join(' › ');
  if (path.length === 0) return <span className="text-ink-3">the first step</span>;
  const shown = path.slice(-last).map(({ name }) => name).join(' › ');
  return (
    <span className="text-ink-2" title={names}>
      {path.length > last && <span className="text-ink-3">… › </span>}
      {shown}
    </span>
  );
}
