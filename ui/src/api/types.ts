/** Short names of the API's shapes. */

import type { components } from './schema.d.ts';

type Schemas = components['schemas'];

export type Run = Schemas['Run'];
export type RunSummary = Schemas['RunSummary'];
export type Step = Schemas['Step'];
export type Failure = Schemas['Failure'];
export type Decision = Schemas['Decision'];
export type Signal = Schemas['Signal'];
export type RunStatus = Schemas['RunStatus'];
export type StepType = Schemas['StepType'];
export type RunRecord = Schemas['RunRecord'];
export type RunLatency = Schemas['RunLatency'];
export type Histogram = Schemas['Histogram'];
export type HistogramBucket = Schemas['HistogramBucket'];
export type Timeseries = Schemas['Timeseries'];
export type SeriesBucket = Schemas['SeriesBucket'];
export type Facets = Schemas['Facets'];
export type Facet = Schemas['Facet'];
export type Agents = Schemas['Agents'];
export type Versions = Schemas['Versions'];
export type Decisions = Schemas['Decisions'];
export type Signals = Schemas['Signals'];
export type Failures = Schemas['Failures'];
export type Stats = Schemas['Stats'];
export type Percentiles = Schemas['Percentiles'];
export type StatusCounts = Schemas['StatusCounts'];
export type Spread = Schemas['Spread'];
export type Group = Schemas['Group'];
export type Agent = Agents['agents'][number];
export type Version = Versions['versions'][number];
export type Cluster = Failures['clusters'][number];
export type Cause = NonNullable<Cluster['cause']>;
export type StepName = Schemas['StepName'];
export type DecisionTypeCounts = Decisions['types'][number];
export type SignalTypeCounts = Signals['types'][number];
export type SignalCodeCounts = SignalTypeCounts['codes'][number];
export type SignalsBucket = Schemas['SignalsBucket'];
export type VersionLatency = Schemas['VersionLatency'];
export type Comparison = Schemas['Comparison'];
export type CompareState = Schemas['CompareState'];
export type CompareRate = Schemas['CompareRate'];
export type CompareQuantity = Schemas['CompareQuantity'];
export type CompareDistribution = Schemas['CompareDistribution'];
export type Health = Schemas['Health'];
