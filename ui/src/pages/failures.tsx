/** The ways in which runs fail: a list, and beside it the one that is looked at. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import { failureClusters, SHOWN_CLUSTERS } from '../api/first.ts';
import { failuresQuery } from '../api/queries.ts';
import type { Cluster, Failures } from '../api/types.ts';
import { useBefore } from '../app/before.ts';
import { useNow } from '../app/clock.ts';
import { useKeys } from '../app/keys.ts';
import { useRange } from '../app/range.tsx';
import { ago, clock, count, counted, percent, relativeChange, shareText } from '../format/index.ts';
import { AggregatePage } from '../parts/aggregate.tsx';
import { ChangeText } from '../parts/change.tsx';
import { clusterTitle, stepSearch } from '../parts/cluster-words.ts';
import { FailingStep, FailureName, PathText } from '../parts/cluster.tsx';
import { RunSpark } from '../parts/run-spark.tsx';
import { LINK } from '../ui/class.ts';
import { Key } from '../ui/field.tsx';
import { Figure, Figures } from '../ui/figures.tsx';
import { Empty } from '../ui/state.tsx';
import { VirtualTable, type Column } from '../ui/table.tsx';
import { readFilter } from '../url/filter.ts';
import { ClusterPanel } from './failures/cluster-panel.tsx';

const ROW = 26;

export default function FailuresPage() {
  const search = useSearch({ from: '/failures' });
  const filters = readFilter({ ...search });
  const range = useRange();
  const failures = useQuery(failureClusters(filters, range));
  return (
    <AggregatePage
      title="Failures"
      filters={filters}
      query={failures}
      hasRuns={(data) => data.total_runs > 0}
      empty={(data) =>
        data.clusters.length === 0 ? (
          <Empty
            title="✓ No run failed"
            action={
              <Link to="/runs" search={filters} className={LINK}>
                {counted(data.total_runs, 'run')} in this time →
              </Link>
            }
          />
        ) : undefined
      }
    >
      {(data) => <Found data={data} />}
    </AggregatePage>
  );
}

function Found({ data }: { data: Failures }) {
  const search = useSearch({ from: '/failures' });
  const filters = readFilter({ ...search });
  const navigate = useNavigate({ from: '/failures' });
  const { zone } = useRange();
  const now = useNow();
  const beforeFilter = useBefore(filters);
  const { clusters } = data;
  // Of the range before only the clusters that are shown matter.
  const before = useQuery({
    ...failuresQuery({ ...beforeFilter, failure_cluster: clusters.map(({ cluster }) => cluster), limit: SHOWN_CLUSTERS }),
    enabled: beforeFilter !== undefined && filters.cluster === undefined,
  });
  const totalBefore = useQuery({ ...failuresQuery({ ...beforeFilter, limit: 1 }), enabled: beforeFilter !== undefined });
  const runsBefore = ({ cluster }: Cluster) => before.data?.clusters.find((one) => one.cluster === cluster)?.runs;
  const active = clusters.findIndex(({ cluster }) => cluster === search.show);
  const shown = clusters[active];
  const show = (cluster: Cluster | undefined, replace: boolean) =>
    void navigate({ search: (old) => ({ ...old, show: cluster?.cluster }), replace });
  const open = (cluster: Cluster) => {
    const [runId] = cluster.examples;
    if (runId === undefined) return false;
    return void navigate({ to: '/runs/$runId', params: { runId }, search: stepSearch(cluster.cause) });
  };
  const move = (by: number) => {
    const next = clusters[active === -1 ? (by > 0 ? 0 : clusters.length - 1) : Math.max(0, Math.min(clusters.length - 1, active + by))];
    if (next !== undefined) show(next, search.show !== undefined);
  };
  const group = 'Failures';
  useKeys([
    { key: 'j', label: 'Next cluster', group, run: () => move(1) },
    { key: 'ArrowDown', label: 'Next cluster', group, run: () => move(1) },
    { key: 'k', label: 'Previous cluster', group, run: () => move(-1) },
    { key: 'ArrowUp', label: 'Previous cluster', group, run: () => move(-1) },
    { key: 'Enter', label: 'Open its newest run at the failing step', group, run: () => (shown === undefined ? false : open(shown)) },
    { key: 'Escape', label: 'Close the cluster', group, run: () => (shown === undefined ? false : show(undefined, false)) },
  ]);
  const columns: Column<Cluster>[] = [
    {
      id: 'failure',
      title: 'Failure',
      width: 'minmax(190px, 1.2fr)',
      cell: (cluster) => (
        <button type="button" className="max-w-full truncate hover:underline" aria-label={`Show ${clusterTitle(cluster)}`} onClick={() => show(cluster, false)}>
          <FailureName cause={cluster.cause} />
        </button>
      ),
    },
    {
      id: 'step',
      title: 'At step',
      from: 'md',
      width: 'minmax(140px, 1fr)',
      cell: ({ cause }) => <FailingStep cause={cause} />,
    },
    { id: 'path', title: 'After', width: 'minmax(180px, 1.4fr)', from: 'md', cell: ({ cause }) => <PathText path={cause?.path ?? []} /> },
    { id: 'agent', title: 'Agent', width: 'minmax(120px, 1fr)', from: 'lg', cell: ({ cause }) => cause?.agent_id ?? '—' },
    {
      id: 'versions',
      title: 'Versions',
      from: 'xl',
      width: '92px',
      mono: true,
      cell: ({ versions }) => `${versions[0]?.agent_version ?? '—'}${versions.length > 1 ? ` +${versions.length - 1}` : ''}`,
    },
    {
      id: 'runs',
      title: 'Runs',
      width: '64px',
      align: 'end',
      mono: true,
      cell: (cluster) => (
        <Link to="/runs" search={{ ...filters, cluster: [cluster.cluster] }} className="hover:underline">
          {count(cluster.runs)}
        </Link>
      ),
    },
    {
      id: 'change',
      title: 'Change',
      width: '76px',
      from: 'md',
      align: 'end',
      cell: (cluster) => (
        <ChangeText worse="up" change={relativeChange(cluster.runs, runsBefore(cluster))} missing={before.data === undefined ? '—' : 'new'} />
      ),
    },
    { id: 'share', title: 'Share', width: '68px', from: '2xl', align: 'end', mono: true, cell: ({ share }) => percent(share) },
    {
      id: 'time',
      title: 'Over time',
      width: '132px',
      from: 'md',
      cell: (cluster) => <RunSpark label={`Runs of ${clusterTitle(cluster)} over time`} filter={{ ...filters, cluster: [cluster.cluster] }} />,
    },
    { id: 'since', title: 'First', width: '116px', from: '2xl', align: 'end', mono: true, cell: ({ first_seen }) => clock(first_seen, zone, now) },
    { id: 'last', title: 'Last', width: '92px', align: 'end', mono: true, cell: ({ last_seen }) => ago(last_seen, now) },
  ];
  // Beside the panel there is room for what tells clusters apart.
  const narrow = new Set(['failure', 'step', 'path', 'versions', 'runs', 'change', 'time', 'last']);
  return (
    <>
      <div className="shrink-0 border-b border-line px-5 pt-1 pb-3">
        <Figures label="Failures of the range">
          <Figure name="Runs with a failure" detail={<ChangeText worse="up" change={relativeChange(data.runs_with_failure, totalBefore.data?.runs_with_failure)} />}>
            {count(data.runs_with_failure)}
          </Figure>
          <Figure name="Of all runs" detail={`of ${count(data.total_runs)}`}>
            {shareText(data.runs_with_failure, data.total_runs)}
          </Figure>
          <Figure name="Clusters" detail={<ChangeText worse="up" change={relativeChange(data.total_clusters, totalBefore.data?.total_clusters)} />}>
            {count(data.total_clusters)}
          </Figure>
          <Figure name="The largest" detail="of them">
            {shareText(clusters[0]?.runs ?? 0, data.runs_with_failure)}
          </Figure>
        </Figures>
      </div>
      <div className="relative flex min-h-0 grow">
        <div className="flex min-h-0 min-w-0 grow flex-col">
          <div className="min-h-0 grow">
            <VirtualTable
              label="Clusters of failures"
              columns={shown === undefined ? columns : columns.filter(({ id }) => narrow.has(id))}
              rows={clusters}
              rowKey={({ cluster }) => cluster}
              rowHeight={ROW}
              active={active === -1 ? undefined : active}
              onActivate={(cluster) => show(cluster, search.show !== undefined)}
              onOpen={open}
              rowLabel={clusterTitle}
            />
          </div>
          <footer className="flex h-7 shrink-0 items-center gap-4 border-t border-line bg-panel px-5 text-12 text-ink-3">
            <span>
              {count(clusters.length)} of {counted(data.total_clusters, 'cluster')}, the largest first
            </span>
            <span className="ml-auto hidden items-center gap-3 md:flex">
              <span>
                <Key>J</Key> <Key>K</Key> cluster
              </span>
              <span>
                <Key>Enter</Key> newest run
              </span>
            </span>
          </footer>
        </div>
        {shown !== undefined && <ClusterPanel key={shown.cluster} cluster={shown} filters={filters} onClose={() => show(undefined, false)} />}
        {search.show !== undefined && shown === undefined && <Missing />}
      </div>
    </>
  );
}

/** A link to a cluster that is not among those shown, as of another time. */
function Missing() {
  return (
    <p role="status" className="absolute inset-x-0 top-0 border-b border-line bg-partial-soft px-5 py-1 text-13">
      <span className="text-partial">◐</span> The cluster of this link is not among those of this time and these filters.
    </p>
  );
}
