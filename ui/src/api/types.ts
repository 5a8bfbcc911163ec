/** Short names of the API's shapes: of what a path answers, so that a name in its document can change. */

import type { components, paths } from './schema.d.ts';

/** What a path answers with 200. */
type Body<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { 'application/json': infer B } } } };
}
  ? B
  : never;

export type Run = components['schemas']['Run'];
export type RunSummary = components['schemas']['RunSummary'];
export type Step = Run['steps'][number];
export type Failure = Run['failures'][number];
export type Decision = Run['decisions'][number];
export type Signal = Run['quality_signals'][number];
export type RunStatus = Run['status'];
export type StepType = Step['step_type'];
export type RunRecord = Body<'/v1/runs/{run_id}/events'>[number];
export type RunLatency = Body<'/v1/runs/{run_id}/latency'>;
export type Histogram = Body<'/v1/runs/histogram'>;
export type HistogramBucket = Histogram['buckets'][number];
export type Timeseries = Body<'/v1/timeseries'>;
export type SeriesBucket = Timeseries['buckets'][number];
export type Facets = Body<'/v1/facets'>;
export type Facet = Facets['facets'][number];
export type Agents = Body<'/v1/agents'>;
export type Versions = Body<'/v1/agents/{agent_id}/versions'>;
export type VersionLatency = Body<'/v1/agents/{agent_id}/versions/{agent_version}/latency'>;
export type Decisions = Body<'/v1/decisions'>;
export type Signals = Body<'/v1/signals'>;
export type Failures = Body<'/v1/failures'>;
export type Stats = Body<'/v1/stats'>;
export type Percentiles = SeriesBucket['duration_ms'];
export type StatusCounts = HistogramBucket['by_status'];
export type Spread = VersionLatency['duration_ms'];
/** The numbers that agents and versions have in common. */
export type Group = Omit<Versions['versions'][number], 'agent_version'>;
export type Agent = Agents['agents'][number];
export type Version = Versions['versions'][number];
export type Cluster = Failures['clusters'][number];
export type Cause = NonNullable<Cluster['cause']>;
export type StepName = Cause['path'][number];
export type DecisionTypeCounts = Decisions['types'][number];
export type SignalTypeCounts = Signals['types'][number];
export type SignalCodeCounts = SignalTypeCounts['codes'][number];
export type SignalsBucket = NonNullable<Signals['timeline']>['buckets'][number];
export type Comparison = Body<'/v1/compare'>;
export type CompareState = Comparison['state'];
export type CompareRate = Comparison['rates'][number];
export type CompareQuantity = Comparison['quantities'][number];
export type CompareDistribution = Comparison['distributions'][number];
export type Session = Body<'/v1/session'>;
export type Health = Body<'/health'>;
