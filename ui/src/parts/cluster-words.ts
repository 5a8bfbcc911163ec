/** How a cluster of failures is called, and where its first example fails: pure. */

import type { Cause, Cluster } from '../api/types.ts';

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

/** The failing step of the first example, as the page of a run takes it. */
export function stepSearch(cause: Cause | null): { step?: number } {
  return typeof cause?.step_seq === 'number' ? { step: cause.step_seq } : {};
}
