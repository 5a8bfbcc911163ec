/** What fails: the clusters with the most runs, and the codes with their changes. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { statsQuery } from '../../api/queries.ts';
import type { Cluster, Failures } from '../../api/types.ts';
import { useBefore } from '../../app/before.ts';
import { useNow } from '../../app/clock.ts';
import { useRange } from '../../app/range.tsx';
import { ago, clock, count, relativeChange } from '../../format/index.ts';
import { ChangeText } from '../../parts/change.tsx';
import { clusterTitle } from '../../parts/cluster-words.ts';
import { FailingStep, FailureName, PathText } from '../../parts/cluster.tsx';
import { RunSpark } from '../../parts/run-spark.tsx';
import { LINK } from '../../ui/class.ts';
import { Section } from '../../ui/section.tsx';
import { Empty, SkeletonRows } from '../../ui/state.tsx';
import { Table, type Column } from '../../ui/table.tsx';
import { apiFilter, readFilter, type FilterSearch } from '../../url/filter.ts';

export function TopClusters({ failures, search }: { failures: Failures; search: FilterSearch }) {
  const { zone } = useRange();
  const now = useNow();
  const columns: Column<Cluster>[] = [
    {
      id: 'failure',
      title: 'Failure',
      cell: (cluster) => (
        <Link to="/failures" search={{ ...search, show: cluster.cluster }} aria-label={clusterTitle(cluster)} className="hover:underline">
          <FailureName cause={cluster.cause} />
        </Link>
      ),
    },
    { id: 'step', title: 'At step', cell: ({ cause }) => <FailingStep cause={cause} /> },
    { id: 'path', title: 'After', from: 'md', cell: ({ cause }) => <div className="max-w-40 truncate 2xl:max-w-64"><PathText path={cause?.path ?? []} /></div> },
    {
      id: 'agent',
      title: 'Agent',
      from: 'lg',
      cell: ({ cause, versions }) => (
        <span className="text-ink-2">
          {cause?.agent_id ?? '—'}{' '}
          <span className="font-mono text-11 max-2xl:sr-only">
            {versions[0]?.agent_version}
            {versions.length > 1 ? ` +${versions.length - 1}` : ''}
          </span>
        </span>
      ),
    },
    {
      id: 'runs',
      title: 'Runs',
      align: 'end',
      mono: true,
      cell: (cluster) => (
        <Link to="/runs" search={{ ...search, cluster: [cluster.cluster] }} className="hover:underline">
          {count(cluster.runs)}
        </Link>
      ),
    },
    {
      id: 'time',
      title: 'Over time',
      width: '104px',
      from: 'md',
      cell: (cluster) => <RunSpark label={`Runs of ${clusterTitle(cluster)} over time`} filter={{ ...search, cluster: [cluster.cluster] }} width={80} />,
    },
    { id: 'since', title: 'Since', from: 'md', align: 'end', mono: true, cell: ({ first_seen }) => clock(first_seen, zone, now) },
    { id: 'last', title: 'Last', from: '2xl', align: 'end', mono: true, cell: ({ last_seen }) => ago(last_seen, now) },
  ];
  return (
    <Section
      title="What fails"
      flush
      aside={
        <>
          <span>
            {count(failures.clusters.length)} of {count(failures.total_clusters)} clusters
          </span>
          <Link to="/failures" search={search} className={LINK}>
            All failures →
          </Link>
        </>
      }
    >
      {failures.clusters.length === 0 ? (
        <Empty title="✓ No run failed in this time" />
      ) : (
        <div className="px-2">
          <Table label="Clusters of failures with the most runs" columns={columns} rows={failures.clusters} rowKey={({ cluster }) => cluster} />
        </div>
      )}
    </Section>
  );
}

interface CodeRow {
  type: string;
  code: string;
  failures: number;
  before: number | undefined;
}

/** How many codes are shown. */
const CODES = 8;

export function TopCodes({ search }: { search: FilterSearch }) {
  const range = useRange();
  const before = useBefore(search);
  const stats = useQuery(statsQuery(apiFilter(search, range)));
  const was = useQuery({ ...statsQuery(before ?? {}), enabled: before !== undefined });
  const all = Object.entries(stats.data?.failure_breakdown ?? {});
  const rows: CodeRow[] = all
    .map(([name, failures]) => {
      const slash = name.indexOf('/');
      return {
        type: name.slice(0, slash),
        code: name.slice(slash + 1),
        failures,
        before: before === undefined ? undefined : was.data?.failure_breakdown[name],
      };
    })
    .sort((a, b) => b.failures - a.failures || a.code.localeCompare(b.code))
    .slice(0, CODES);
  const filterOf = (row: CodeRow): FilterSearch => ({ ...search, failure: readFilter({ failure: row.type }).failure, code: [row.code] });
  const columns: Column<CodeRow>[] = [
    {
      id: 'code',
      title: 'Code',
      cell: (row) => (
        <Link to="/runs" search={filterOf(row)} className="font-mono text-12 hover:underline">
          <span className="text-ink-3">{row.type}/</span>
          {row.code}
        </Link>
      ),
    },
    { id: 'failures', title: 'Failures', align: 'end', mono: true, cell: (row) => count(row.failures) },
    {
      id: 'change',
      title: 'Change',
      align: 'end',
      cell: (row) => <ChangeText worse="up" change={relativeChange(row.failures, row.before)} missing={before === undefined || was.data === undefined ? '—' : 'new'} />,
    },
    {
      id: 'time',
      title: 'Over time',
      width: '80px',
      from: '2xl',
      cell: (row) => <RunSpark label={`Runs with ${row.type}/${row.code} over time`} filter={filterOf(row)} width={56} />,
    },
  ];
  return (
    <Section title="Failure codes" flush aside={all.length > CODES ? `${CODES} of ${count(all.length)}` : undefined}>
      {stats.data === undefined ? (
        // As high as the head and the rows that come: there is something below it.
        <div className="pt-[28px]">{stats.error === null && <SkeletonRows rows={CODES} />}</div>
      ) : rows.length === 0 ? (
        <Empty title="No failures" />
      ) : (
        <div className="px-2">
          <Table label="Failures by code" columns={columns} rows={rows} rowKey={({ type, code }) => `${type}/${code}`} />
        </div>
      )}
    </Section>
  );
}
