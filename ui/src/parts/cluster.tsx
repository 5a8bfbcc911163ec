/** How a cluster of failures is written: what failed, at which step, and on which way there. */

import type { Cause, Cluster, StepName } from '../api/types.ts';
import { StepMark } from './marks.tsx';

/** `tool/timeout`; a run that says only that it failed has neither. */
export function failureName(cause: Pick<Cause, 'failure_type' | 'failure_code'> | null): string {
  if (cause?.failure_type === undefined || cause.failure_type === null) return 'failed without a cause';
  return `${cause.failure_type}/${cause.failure_code ?? 'unknown'}`;
}

/** What a cluster is called where only words fit. */
export function clusterTitle(cluster: Cluster): string {
  const { cause } = cluster;
  if (cause === null) return `cluster ${cluster.cluster}`;
  return `${failureName(cause)}${cause.step === null ? '' : ` at ${cause.step.name}`}`;
}

export function FailureName({ cause }: { cause: Cause | null }) {
  return (
    <span className="font-mono text-12 font-semibold text-failure">
      <span aria-hidden="true">✕ </span>
      {failureName(cause)}
    </span>
  );
}

/** The failing step of the first example, as the page of a run takes it. */
export function stepSearch(cause: Cause | null): { step?: number } {
  return typeof cause?.step_seq === 'number' ? { step: cause.step_seq } : {};
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
