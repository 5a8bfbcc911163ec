/** The filters that a URL can hold, and the filters of the API that they are. */

import { flag, oneOf, reader, real, someOf, text, texts, whole, type SearchOf } from './search.ts';
import { rangeQuery, type Range } from './range.ts';

export const STATUSES = ['success', 'failure', 'partial', 'running'] as const;
export const FAILURE_TYPES = ['tool', 'model', 'retrieval', 'orchestration'] as const;
export const STEP_TYPES = ['plan', 'retrieve', 'tool', 'respond', 'other'] as const;

/** What narrows runs, on every page that asks about runs. */
export const filterParams = {
  q: text,
  agent: texts,
  version: texts,
  env: texts,
  status: someOf(STATUSES),
  failure: someOf(FAILURE_TYPES),
  code: texts,
  cluster: texts,
  step_type: someOf(STEP_TYPES),
  step: texts,
  decision: texts,
  reason: texts,
  signal_type: texts,
  signal: texts,
  signal_value: oneOf(['true', 'false']),
  retries: oneOf(['true', 'false']),
  min_ms: whole(),
  max_ms: whole(),
  session: texts,
  parent: texts,
};

export type FilterSearch = SearchOf<typeof filterParams>;
export type FilterName = keyof typeof filterParams;
export const readFilter = reader(filterParams);

/** The name of each filter in the API. */
const API_NAMES = {
  q: 'q',
  agent: 'agent_id',
  version: 'agent_version',
  env: 'environment',
  status: 'status',
  failure: 'failure_type',
  code: 'failure_code',
  cluster: 'failure_cluster',
  step_type: 'step_type',
  step: 'step_name',
  decision: 'decision_type',
  reason: 'reason_code',
  signal_type: 'signal_type',
  signal: 'signal_code',
  signal_value: 'signal_value',
  retries: 'has_retries',
  min_ms: 'min_duration_ms',
  max_ms: 'max_duration_ms',
  session: 'session_id',
  parent: 'parent_run_id',
} as const satisfies Record<FilterName, string>;

/** The filters of a question to the API. */
export type ApiFilter = Partial<Record<(typeof API_NAMES)[FilterName], string | number | string[]>> & {
  start_time?: string;
  end_time?: string;
};

/** The question that a URL's filters and the range come to. Parameters of a page that are no filters do not count. */
export function apiFilter(search: FilterSearch, range: Range): ApiFilter {
  const filter: ApiFilter = rangeQuery(range);
  for (const name of Object.keys(API_NAMES) as FilterName[]) {
    const value = search[name];
    if (value !== undefined) filter[API_NAMES[name]] = value;
  }
  return filter;
}

/** The filters of a URL that are set, in the order in which they are shown. */
export function setFilters(search: FilterSearch): { name: FilterName; values: string[] }[] {
  return (Object.keys(API_NAMES) as FilterName[]).flatMap((name) => {
    const value = search[name];
    if (value === undefined) return [];
    return [{ name, values: (Array.isArray(value) ? value : [value]).map(String) }];
  });
}

/** What a filter is called on a page. */
export const FILTER_LABELS: Record<FilterName, string> = {
  q: 'search',
  agent: 'agent',
  version: 'version',
  env: 'environment',
  status: 'status',
  failure: 'failure type',
  code: 'failure code',
  cluster: 'failure cluster',
  step_type: 'step type',
  step: 'step',
  decision: 'decision type',
  reason: 'reason',
  signal_type: 'signal type',
  signal: 'signal',
  signal_value: 'signal value',
  retries: 'has retries',
  min_ms: 'at least (ms)',
  max_ms: 'at most (ms)',
  session: 'session',
  parent: 'parent run',
};

/** The URL's filters with one value more, or without it when it is there. */
export function toggleFilter(search: FilterSearch, name: FilterName, value: string): FilterSearch {
  const before = search[name];
  const values = (before === undefined ? [] : Array.isArray(before) ? before : [before]).map(String);
  const after = values.includes(value) ? values.filter((one) => one !== value) : [...values, value];
  return { ...search, ...readFilter({ [name]: undefined }), [name]: readFilter({ [name]: after })[name] };
}

/** A URL without any filter. */
export function withoutFilters<S extends FilterSearch>(search: S): Omit<S, FilterName> {
  return Object.fromEntries(Object.entries(search).filter(([name]) => !(name in API_NAMES))) as Omit<S, FilterName>;
}

export const SORTS = ['started_at', 'duration_ms', 'step_count', 'retry_count'] as const;
export type SortField = (typeof SORTS)[number];

/** The page of runs. */
export const runsParams = {
  ...filterParams,
  sort: oneOf(SORTS),
  order: oneOf(['asc', 'desc']),
  live: flag,
  peek: text,
  pick: texts,
};
export const readRuns = reader(runsParams);
export type RunsSearch = SearchOf<typeof runsParams>;

export const ONLY = ['failed', 'retries', 'slow', 'decisions'] as const;
export const RUN_VIEWS = ['waterfall', 'table', 'decisions', 'events'] as const;

/** A pinned window of a run's time: `[a,b]` in ms from its start, as `t=a..b`. */
const windowOfTime = (raw: unknown): string | undefined => {
  const value = text(raw);
  if (value === undefined) return undefined;
  const found = /^(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)$/.exec(value);
  const [a, b] = [real(0)(found?.[1]), real(0)(found?.[2])];
  return a !== undefined && b !== undefined && a < b ? value : undefined;
};

/** The page of one run. */
export const runParams = {
  step: whole(),
  q: text,
  types: someOf(STEP_TYPES),
  only: oneOf(ONLY),
  t: windowOfTime,
  view: oneOf(RUN_VIEWS),
  tab: oneOf(['details', 'metadata', 'json']),
};
export const readRun = reader(runParams);
export type RunSearch = SearchOf<typeof runParams>;
