/** The pages, one line each: the path, what its query string means, where its code is. */

import { createRootRoute, createRoute, createRouter, lazyRouteComponent, retainSearchParams } from '@tanstack/react-router';
import type { ComponentType } from 'react';

import { NotFound, PageFailed, Shell } from './app/shell.tsx';
import { readCompareRuns, readCompareVersions } from './url/compare.ts';
import { readFilter, readRun, readRuns } from './url/filter.ts';
import { readAgent, readAgents, readDecisions, readFailures, readSignals } from './url/pages.ts';
import { readRange } from './url/range.ts';
import { parseSearch, reader, stringifySearch } from './url/search.ts';

const root = createRootRoute({
  validateSearch: readRange,
  // The range and the zone stay from page to page.
  search: { middlewares: [retainSearchParams(['from', 'to', 'tz'])] },
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: PageFailed,
});

// What a page is, is not looked at here: its type would need the router's, which needs this, and everything that asks the
// router would be `any` without a word.
function page<const P extends string, S extends object>(
  path: P,
  validateSearch: (raw: Record<string, unknown>) => S,
  load: () => Promise<unknown>,
) {
  return createRoute({ getParentRoute: () => root, path, validateSearch, component: lazyRouteComponent(load as () => Promise<{ default: ComponentType }>) });
}

const tree = root.addChildren([
  page('/', readFilter, () => import('./pages/overview.tsx')),
  page('/runs', readRuns, () => import('./pages/runs.tsx')),
  page('/runs/$runId', readRun, () => import('./pages/run.tsx')),
  page('/compare', readCompareRuns, () => import('./pages/compare-runs.tsx')),
  page('/versions', readCompareVersions, () => import('./pages/compare-versions.tsx')),
  page('/failures', readFailures, () => import('./pages/failures.tsx')),
  page('/decisions', readDecisions, () => import('./pages/decisions.tsx')),
  page('/signals', readSignals, () => import('./pages/signals.tsx')),
  page('/agents', readAgents, () => import('./pages/agents.tsx')),
  page('/agents/$agentId', readAgent, () => import('./pages/agent.tsx')),
  page('/settings', reader({}), () => import('./pages/settings.tsx')),
]);

export const router = createRouter({
  routeTree: tree,
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
