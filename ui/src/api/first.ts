/**
 * What each page asks first. The router asks it as soon as it knows the page, while the page's code is still on its way; the
 * page then finds the answer, or the question, where its own would be. Both take it from here, so that they ask the same.
 */

import type { CompareBy } from '../url/compare.ts';
import { apiFilter, type FilterSearch, type RunsSearch } from '../url/filter.ts';
import { rangeQuery, type Range } from '../url/range.ts';
import { agentsQuery, compareQuery, decisionsQuery, facetsQuery, failuresQuery, histogramQuery, runsQuery, signalsQuery, timeseriesQuery, versionsQuery } from './queries.ts';

/** A range, and the zone in which its days begin. */
export interface ZonedRange extends Range {
  time_zone: string;
}

/** How many clusters the overview shows. */
export const OVERVIEW_CLUSTERS = 8;

export const overviewSeries = (search: FilterSearch, range: ZonedRange) =>
  timeseriesQuery({ ...apiFilter(search, range), buckets: 60, time_zone: range.time_zone });

export const overviewFailures = (search: FilterSearch, range: ZonedRange) => failuresQuery({ ...apiFilter(search, range), limit: OVERVIEW_CLUSTERS });

export const runsList = ({ live, sort, order, ...search }: RunsSearch, range: ZonedRange) =>
  runsQuery({ ...apiFilter(search, range), ...(live === true ? { live } : {}), ...(sort === undefined ? {} : { sort }), ...(order === undefined ? {} : { order }) });

export const runsHistogram = (search: FilterSearch, range: ZonedRange) => histogramQuery({ ...apiFilter(search, range), buckets: 80, time_zone: range.time_zone });

/** How many clusters the page of failures shows: the largest. */
export const SHOWN_CLUSTERS = 50;

export const failureClusters = (search: FilterSearch, range: ZonedRange) => failuresQuery({ ...apiFilter(search, range), limit: SHOWN_CLUSTERS });

export const decisionTypes = (search: FilterSearch, range: ZonedRange) => decisionsQuery(apiFilter(search, range));

export const signalCodes = (search: FilterSearch, range: ZonedRange) => signalsQuery({ ...apiFilter(search, range), buckets: 48, time_zone: range.time_zone });

export const agentList = (search: FilterSearch, range: ZonedRange) => agentsQuery(apiFilter(search, range));

export const agentVersions = (agentId: string, search: FilterSearch, range: ZonedRange) => versionsQuery(agentId, apiFilter(search, range));

export const agentSeries = (agentId: string, search: FilterSearch, range: ZonedRange) =>
  timeseriesQuery({ ...apiFilter({ ...search, agent: [agentId] }, range), buckets: 60, time_zone: range.time_zone });

/** Of what a comparison is: `env` is of no meaning where environments are compared. */
export interface Compared {
  by: CompareBy;
  agent: string | undefined;
  env: string[] | undefined;
}

const environmentOf = ({ by, env }: Compared) => (env === undefined || by === 'environment' ? {} : { environment: env });
const agentOf = ({ agent }: Compared) => (agent === undefined ? {} : { agent_id: [agent] });

/** The agents that can be compared. */
export const comparedAgents = (range: Range) => agentsQuery(rangeQuery(range));

export const comparedEnvironments = (what: Compared, range: Range) => facetsQuery({ ...rangeQuery(range), ...agentOf(what) }, ['environment'], 100);

export const comparedVersions = (what: Compared, range: Range) => versionsQuery(what.agent ?? '', { ...rangeQuery(range), ...environmentOf(what) });

export const comparison = (what: Compared, { base, candidate }: { base: string; candidate: string }, range: Range) =>
  compareQuery({ ...(what.by === 'time' ? {} : rangeQuery(range)), ...agentOf(what), ...environmentOf(what), by: what.by, base, candidate });
