/** What the query strings of the pages of aggregates mean, beside the filters. */

import { filterParams } from './filter.ts';
import { oneOf, reader, text, texts, type SearchOf } from './search.ts';

/** The page of failures: `show` is the cluster that is looked at. */
export const failuresParams = { ...filterParams, show: text };
export const readFailures = reader(failuresParams);
export type FailuresSearch = SearchOf<typeof failuresParams>;

export const DECISION_TYPES = ['tool_selection', 'retrieval_strategy', 'response_mode', 'retry_strategy', 'orchestration_path'] as const;

/** The page of decisions: `type` is the type that is looked at. */
export const decisionsParams = { ...filterParams, type: oneOf(DECISION_TYPES) };
export const readDecisions = reader(decisionsParams);
export type DecisionsSearch = SearchOf<typeof decisionsParams>;

export const TONES = ['attention', 'plain'] as const;

/** The page of signals: `tone` narrows the list, `show` is the signal that is looked at, as `type/code/value`. */
export const signalsParams = { ...filterParams, tone: oneOf(TONES), show: text };
export const readSignals = reader(signalsParams);
export type SignalsSearch = SearchOf<typeof signalsParams>;

const sorting = {
  sort: oneOf(['agent', 'versions', 'runs', 'failure_rate', 'p50', 'p95', 'retries', 'last_seen', 'first_seen']),
  order: oneOf(['asc', 'desc']),
};

/** The page of agents: `find` is a part of the names that are shown. */
export const agentsParams = { ...filterParams, ...sorting, find: text };
export const readAgents = reader(agentsParams);
export type AgentsSearch = SearchOf<typeof agentsParams>;

/** The page of an agent: `versions` are the two side by side. */
export const agentParams = { ...filterParams, versions: texts };
export const readAgent = reader(agentParams);
export type AgentSearch = SearchOf<typeof agentParams>;
