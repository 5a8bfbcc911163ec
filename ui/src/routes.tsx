/** The pages: the path, what its query string means, where its code is, and what it asks first. */

import type { QueryClient } from '@tanstack/react-query';
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, retainSearchParams } from '@tanstack/react-router';
import type { ComponentType } from 'react';

import {
  agentList,
  agentSeries,
  agentVersions,
  comparedAgents,
  comparedEnvironments,
  comparedVersions,
  comparison,
  decisionTypes,
  failureClusters,
  overviewFailures,
  overviewSeries,
  runsHistogram,
  runsList,
  signalCodes,
  type ZonedRange,
} from './api/first.ts';
import { healthQuery, runQuery } from './api/queries.ts';
import { rangeAhead } from './app/range.tsx';
import { NotFound, PageFailed, Shell } from './app/shell.tsx';
import { readCompareRuns, readCompareVersions } from './url/compare.ts';
import { readFilter, readRun, readRuns } from './url/filter.ts';
import { readAgent, readAgents, readDecisions, readFailures, readSignals } from './url/pages.ts';
import { readRange } from './url/range.ts';
import { parseSearch, reader, stringifySearch } from './url/search.ts';

interface Context {
  queries: QueryClient;
}

const root = createRootRouteWithContext<Context>()({
  validateSearch: readRange,
  // The range and the zone stay from page to page.
  search: { middlewares: [retainSearchParams(['from', 'to', 'tz'])] },
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: PageFailed,
});

/** Asks what a page asks first. */
type Ask<S> = (queries: QueryClient, search: S, range: ZonedRange, id: string) => Promise<unknown>[];

// What a page is, is not looked at here: its type would need the router's, which needs this, and everything that asks the
// router would be `any` without a word.
function page<const P extends string, S extends object>(
  path: P,
  validateSearch: (raw: Record<string, unknown>) => S,
  load: () => Promise<unknown>,
  ask: Ask<S>,
) {
  return createRoute({
    getParentRoute: () => root,
    path,
    validateSearch,
    component: lazyRouteComponent(load as () => Promise<{ default: ComponentType }>),
    beforeLoad: ({ cause, context, search, params }) => {
      // A page that stays asks for itself, and one that is only pointed at may never be opened.
      if (cause !== 'enter') return;
      const [id = ''] = Object.values<string>(params);
      // The answers are for the page, and so are the failures.
      for (const asked of ask(context.queries, search as S, rangeAhead(search), id)) asked.catch(() => undefined);
    },
  });
}

const tree = root.addChildren([
  page('/', readFilter, () => import('./pages/overview.tsx'), (queries, search, range) => [
    queries.query(overviewSeries(search, range)),
    queries.query(overviewFailures(search, range)),
  ]),
  page('/runs', readRuns, () => import('./pages/runs.tsx'), (queries, search, range) => [
    queries.infiniteQuery(runsList(search, range)),
    queries.query(runsHistogram(search, range)),
  ]),
  page('/runs/$runId', readRun, () => import('./pages/run.tsx'), (queries, _search, _range, runId) => [queries.query(runQuery(runId))]),
  page('/compare', readCompareRuns, () => import('./pages/compare-runs.tsx'), (queries, { a, b }) =>
    a === undefined || b === undefined || a === b ? [] : [queries.query(runQuery(a)), queries.query(runQuery(b))],
  ),
  page('/versions', readCompareVersions, () => import('./pages/compare-versions.tsx'), (queries, { by = 'agent_version', agent, env, base, candidate }, range) => {
    const what = { by, agent, env };
    return [
      // What is compared comes before what else could be.
      ...(by === 'time' || base === undefined || candidate === undefined || agent === undefined ? [] : [queries.query(comparison(what, { base, candidate }, range))]),
      ...(by === 'agent_version' && agent !== undefined ? [queries.query(comparedVersions(what, range))] : []),
      ...(by === 'agent_version' && agent === undefined ? [] : [queries.query(comparedEnvironments(what, range))]),
      queries.query(comparedAgents(range)),
    ];
  }),
  page('/failures', readFailures, () => import('./pages/failures.tsx'), (queries, search, range) => [queries.query(failureClusters(search, range))]),
  page('/decisions', readDecisions, () => import('./pages/decisions.tsx'), (queries, search, range) => [queries.query(decisionTypes(search, range))]),
  page('/signals', readSignals, () => import('./pages/signals.tsx'), (queries, search, range) => [queries.query(signalCodes(search, range))]),
  page('/agents', readAgents, () => import('./pages/agents.tsx'), (queries, search, range) => [queries.query(agentList(search, range))]),
  page('/agents/$agentId', readAgent, () => import('./pages/agent.tsx'), (queries, search, range, agentId) => [
    queries.query(agentVersions(agentId, { ...search, agent: undefined }, range)),
    queries.query(agentSeries(agentId, search, range)),
  ]),
  page('/settings', reader({}), () => import('./pages/settings.tsx'), (queries) => [queries.query(healthQuery)]),
]);

export const router = createRouter({
  routeTree: tree,
  // It is there when the pages are: `main.tsx` gives it.
  context: undefined as unknown as Context,
  parseSearch,
  stringifySearch,
  defaultPreload: 'intent',
  defaultPreloadStaleTime: 0,
  scrollRestoration: true,
  trailingSlash: 'never',
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
