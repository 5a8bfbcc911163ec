/**
 * The questions of the dashboard, each with the key under which its answer is kept. A page takes its questions from
 * here and from nowhere else, so that two pages with the same question ask it once.
 */

import { infiniteQueryOptions, keepPreviousData, QueryClient, queryOptions } from '@tanstack/react-query';

import type { ApiFilter } from '../url/filter.ts';
import type { Total } from '../format/number.ts';
import { api, ApiError, data } from './client.ts';
import type { paths } from './schema.d.ts';
import type { RunSummary } from './types.ts';

/** Answers are fresh for so long; going back to a page within it asks nothing. */
const FRESH_MS = 15_000;

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: FRESH_MS,
        gcTime: 5 * 60_000,
        // What the server refused, it refuses again. What it was too busy for, or did not hear, is asked once more; when
        // it is gone altogether, `connection.ts` asks again when it is back.
        retry: (failures, error) =>
          failures < 2 && error instanceof ApiError && (error.status === 429 || error.status >= 500),
        retryDelay: (failures) => 500 * 2 ** failures,
        refetchOnWindowFocus: false,
        networkMode: 'always',
      },
    },
  });
}

/** One run, whole. One that has ended does not change but by a late event. */
export const runQuery = (runId: string) =>
  queryOptions({
    queryKey: ['run', runId],
    queryFn: ({ signal }) => data(api.GET('/v1/runs/{run_id}', { params: { path: { run_id: runId } }, signal })),
    staleTime: 60_000,
  });

/** Where the time of a run went. */
export const runLatencyQuery = (runId: string) =>
  queryOptions({
    queryKey: ['run', runId, 'latency'],
    queryFn: ({ signal }) => data(api.GET('/v1/runs/{run_id}/latency', { params: { path: { run_id: runId } }, signal })),
    staleTime: 60_000,
  });

/** The records of a run, with their positions in the log. */
export const runEventsQuery = (runId: string) =>
  queryOptions({
    queryKey: ['run', runId, 'events'],
    queryFn: ({ signal }) => data(api.GET('/v1/runs/{run_id}/events', { params: { path: { run_id: runId } }, signal })),
    staleTime: 60_000,
  });

/** A page of summaries. */
export interface RunPage {
  runs: RunSummary[];
  total: Total;
  /** Where the next page begins; there is none without. */
  next: string | undefined;
}

export interface ListQuery extends ApiFilter {
  sort?: string;
  order?: string;
  live?: boolean;
}

/** What a path can be asked. */
type Asked<P extends keyof paths> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? NonNullable<Q> : never;

/**
 * A question as the API types it. An address can hold values that no closed list has, from a link of another version say;
 * the server answers these with no rows, so they are asked as they stand.
 */
const asked = <P extends keyof paths>(_path: P, query: object): Asked<P> => query as Asked<P>;

/** How many runs a page of the list has. */
export const PAGE_SIZE = 100;

/** The cursor in `Link: <...?cursor=...>; rel="next"`. */
export function nextCursor(link: string | null): string | undefined {
  const found = /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '');
  return found?.[1] === undefined ? undefined : (new URLSearchParams(found[1].split('?')[1]).get('cursor') ?? undefined);
}

async function page(query: ListQuery, cursor: string | undefined, size: number, signal: AbortSignal): Promise<RunPage> {
  const { data: runs, response } = await api.GET('/v1/runs', {
    params: { query: asked('/v1/runs', { ...query, view: 'summary', page_size: size, ...(cursor === undefined ? {} : { cursor }) }) },
    signal,
  });
  const exact = response.headers.get('x-total-count');
  const least = response.headers.get('x-total-count-min');
  return {
    runs: runs as RunSummary[],
    total: { count: Number(exact ?? least ?? 0), exact: exact !== null },
    next: nextCursor(response.headers.get('link')),
  };
}

/** The list of runs, page by page as it is scrolled. */
export const runsQuery = (query: ListQuery) =>
  infiniteQueryOptions({
    queryKey: ['runs', query],
    queryFn: ({ pageParam, signal }) => page(query, pageParam, PAGE_SIZE, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
  });

/** The first few runs of a list. */
export const firstRunsQuery = (query: ListQuery, size: number) =>
  queryOptions({
    queryKey: ['runs', 'first', size, query],
    queryFn: ({ signal }) => page(query, undefined, size, signal),
    placeholderData: keepPreviousData,
  });

export interface TimelineQuery extends ApiFilter {
  buckets?: number;
  interval?: string;
  time_zone?: string;
}

/** Runs over time by status. */
export const histogramQuery = (query: TimelineQuery) =>
  queryOptions({
    queryKey: ['histogram', query],
    queryFn: ({ signal }) => data(api.GET('/v1/runs/histogram', { params: { query: asked('/v1/runs/histogram', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

/** Count, failure rate and percentiles of duration over time. */
export const timeseriesQuery = (query: TimelineQuery) =>
  queryOptions({
    queryKey: ['timeseries', query],
    queryFn: ({ signal }) => data(api.GET('/v1/timeseries', { params: { query: asked('/v1/timeseries', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

/** The values of some filters with their counts. */
export const facetsQuery = (query: ApiFilter, fields: readonly string[], limit: number) =>
  queryOptions({
    queryKey: ['facets', fields, limit, query],
    queryFn: ({ signal }) =>
      data(api.GET('/v1/facets', { params: { query: asked('/v1/facets', { ...query, field: [...fields], limit }) }, signal })),
    placeholderData: keepPreviousData,
  });

export const statsQuery = (query: ApiFilter) =>
  queryOptions({
    queryKey: ['stats', query],
    queryFn: ({ signal }) => data(api.GET('/v1/stats', { params: { query: asked('/v1/stats', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

export const agentsQuery = (query: ApiFilter) =>
  queryOptions({
    queryKey: ['agents', query],
    queryFn: ({ signal }) => data(api.GET('/v1/agents', { params: { query: asked('/v1/agents', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

/** Keeps what is shown of the same agent until the new answer is there; of another one it would be wrong. */
const keepOfSame = (length: number, key: readonly unknown[]) =>
  function keep<T>(data: T | undefined, before: { queryKey: readonly unknown[] } | undefined): T | undefined {
    return before !== undefined && key.slice(0, length).every((part, at) => part === before.queryKey[at]) ? data : undefined;
  };

export const versionsQuery = (agentId: string, query: ApiFilter) => {
  const queryKey = ['agents', agentId, 'versions', query] as const;
  return queryOptions({
    queryKey,
    queryFn: ({ signal }) =>
      data(
        api.GET('/v1/agents/{agent_id}/versions', { params: { path: { agent_id: agentId }, query: asked('/v1/agents/{agent_id}/versions', { ...query }) }, signal }),
      ),
    placeholderData: keepOfSame(2, queryKey),
  });
};

export const decisionsQuery = (query: ApiFilter) =>
  queryOptions({
    queryKey: ['decisions', query],
    queryFn: ({ signal }) => data(api.GET('/v1/decisions', { params: { query: asked('/v1/decisions', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

export const signalsQuery = (query: TimelineQuery) =>
  queryOptions({
    queryKey: ['signals', query],
    queryFn: ({ signal }) => data(api.GET('/v1/signals', { params: { query: asked('/v1/signals', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

export const failuresQuery = (query: ApiFilter & { limit?: number }) =>
  queryOptions({
    queryKey: ['failures', query],
    queryFn: ({ signal }) => data(api.GET('/v1/failures', { params: { query: asked('/v1/failures', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

/** Where the time of a version's runs goes. */
export const versionLatencyQuery = (agentId: string, version: string, query: ApiFilter) => {
  const queryKey = ['agents', agentId, 'latency', version, query] as const;
  return queryOptions({
    queryKey,
    queryFn: ({ signal }) =>
      data(
        api.GET('/v1/agents/{agent_id}/versions/{agent_version}/latency', {
          params: { path: { agent_id: agentId, agent_version: version }, query: asked('/v1/agents/{agent_id}/versions/{agent_version}/latency', { ...query }) },
          signal,
        }),
      ),
    placeholderData: keepOfSame(4, queryKey),
  });
};

/** Two sides of runs: the filter holds for both. */
export interface CompareQuery extends ApiFilter {
  by: string;
  base: string;
  candidate: string;
}

/** In what two sides differ. */
export const compareQuery = (query: CompareQuery) =>
  queryOptions({
    queryKey: ['compare', query],
    queryFn: ({ signal }) => data(api.GET('/v1/compare', { params: { query: asked('/v1/compare', { ...query }) }, signal })),
    placeholderData: keepPreviousData,
  });

export const healthQuery = queryOptions({
  queryKey: ['health'],
  queryFn: ({ signal }) => data(api.GET('/health', { signal })),
});
