/** One agent: its runs over time, its versions, and two of them side by side. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';

import { agentSeries, agentVersions } from '../api/first.ts';
import { agentsQuery, histogramQuery, timeseriesQuery, versionsQuery } from '../api/queries.ts';
import type { Agent, Timeseries, Version, Versions } from '../api/types.ts';
import { useBefore } from '../app/before.ts';
import { useNow } from '../app/clock.ts';
import { brushed, useRange, useSetRange } from '../app/range.tsx';
import { PageHeader } from '../app/shell.tsx';
import { Lines } from '../charts/lines.tsx';
import { Legend, STATUS_SERIES } from '../charts/series.tsx';
import { StackedBars } from '../charts/stacked-bars.tsx';
import { ago, count, counted, duration, percent, pointsChange, relativeChange, shareText } from '../format/index.ts';
import { Answer } from '../parts/answer.tsx';
import { ChangeText } from '../parts/change.tsx';
import { groupColumns, type GroupRow } from '../parts/group-columns.tsx';
import { Narrow, useSetFilters } from '../parts/narrow.tsx';
import { Nothing } from '../parts/nothing.tsx';
import { RunSpark } from '../parts/run-spark.tsx';
import { DURATION_SERIES, durationPoints, RATE_SERIES, ratePoints, statusBars } from '../parts/series-of-runs.ts';
import { buttonClass } from '../ui/button.tsx';
import { LINK } from '../ui/class.ts';
import { Later } from '../ui/later.tsx';
import { Figure, Figures } from '../ui/figures.tsx';
import { Section } from '../ui/section.tsx';
import { Skeleton, SkeletonRows } from '../ui/state.tsx';
import { Table, type Column } from '../ui/table.tsx';
import { apiFilter, readFilter, type FilterSearch } from '../url/filter.ts';
import { SideBySide } from './agent/side-by-side.tsx';
import { sidesOf, togglePick } from './agent/sides.ts';

const CHART_HEIGHT = 120;
const CHART_PLACE = <div style={{ height: CHART_HEIGHT }} />;

export default function AgentPage() {
  const { agentId } = useParams({ from: '/agents/$agentId' });
  const search = useSearch({ from: '/agents/$agentId' });
  const filters = readFilter({ ...search, agent: undefined });
  const range = useRange();
  const setFilters = useSetFilters();
  const versions = useQuery(agentVersions(agentId, filters, range));
  return (
    <>
      <nav aria-label="Where this page is" className="flex gap-2 px-5 pt-2 text-12 text-ink-2">
        <Link to="/agents" className="hover:underline">
          Agents
        </Link>
        <span aria-hidden="true">›</span>
        <span className="truncate font-mono">{agentId}</span>
      </nav>
      <PageHeader title={agentId} documentTitle={`${agentId} · Agents`}>
        <Narrow search={filters} onChange={setFilters} without={['agent', 'version']} />
        <Link to="/runs" search={{ ...filters, agent: [agentId] }} className={buttonClass()}>
          Its runs
        </Link>
      </PageHeader>
      <div className="scroll-quietly relative min-h-0 grow overflow-auto">
        <Answer query={versions} loading={<SkeletonRows rows={16} />}>
          {(data) =>
            data.total_runs === 0 ? (
              <div className="border-t border-line">
                <Nothing what={`No runs of ${agentId}`} search={filters} onClear={() => setFilters({})} />
              </div>
            ) : (
              <Found agentId={agentId} data={data} filters={filters} picked={search.versions ?? []} />
            )
          }
        </Answer>
      </div>
    </>
  );
}

interface Row extends GroupRow {
  version: Version;
}

function Found({ agentId, data, filters, picked }: { agentId: string; data: Versions; filters: FilterSearch; picked: readonly string[] }) {
  const range = useRange();
  const now = useNow();
  const navigate = useNavigate({ from: '/agents/$agentId' });
  const setRange = useSetRange();
  const own: FilterSearch = { ...filters, agent: [agentId] };
  const beforeFilter = useBefore(own);
  const timeline = { ...apiFilter(own, range), buckets: 60, time_zone: range.time_zone };
  const series = useQuery(agentSeries(agentId, filters, range));
  // Of all its versions: the table may have the newest alone.
  const agent = useQuery(agentsQuery(apiFilter(own, range))).data?.agents.find(({ agent_id }) => agent_id === agentId);
  const histogram = useQuery(histogramQuery(timeline));
  const seriesBefore = useQuery({ ...timeseriesQuery({ ...beforeFilter, buckets: 2 }), enabled: beforeFilter !== undefined }).data;
  const before = useQuery({ ...versionsQuery(agentId, beforeFilter ?? {}), enabled: beforeFilter !== undefined }).data;
  const { base, candidate } = sidesOf(data.versions, picked);
  const sides = [base?.agent_version, candidate?.agent_version].filter((one) => one !== undefined);
  const rows: Row[] = data.versions.map((version) => ({
    version,
    now: version,
    before: before === undefined ? undefined : (before.versions.find(({ agent_version }) => agent_version === version.agent_version) ?? null),
    filter: { ...own, version: [version.agent_version] },
  }));
  const toggle = (version: string) => {
    const next = togglePick(sides, version);
    void navigate({ search: (old) => ({ ...old, versions: next.length === 0 ? undefined : next }), replace: true });
  };
  const columns: Column<Row>[] = [
    ...(data.versions.length > 2
      ? [
          {
            id: 'pick',
            title: 'Compare',
            width: '64px',
            cell: ({ version }: Row) => (
              <input
                type="checkbox"
                aria-label={`Show ${version.agent_version} side by side`}
                checked={sides.includes(version.agent_version)}
                onChange={() => toggle(version.agent_version)}
                className="size-3.5 align-middle accent-(--accent)"
              />
            ),
          },
        ]
      : []),
    {
      id: 'version',
      title: 'Version',
      mono: true,
      cell: ({ version }) => (
        <Link to="/runs" search={{ ...own, version: [version.agent_version] }} className="font-semibold hover:underline">
          {version.agent_version}
        </Link>
      ),
    },
    ...groupColumns<Row>(range.zone, now).map((column) => ({ ...column, sortable: false })),
    { id: 'waste', title: 'Lost to retries', from: 'xl', align: 'end', mono: true, cell: ({ version }) => duration(version.retry_waste_ms) },
    {
      id: 'failures',
      title: 'Failures over time',
      width: '132px',
      from: 'md',
      cell: (row) => <RunSpark label={`Failed runs of ${row.version.agent_version} over time`} filter={{ ...row.filter, status: ['failure'] }} />,
    },
  ];
  return (
    <>
      <Numbers data={data} agent={agent} series={series.data} before={seriesBefore} own={own} />
      <div className="grid lg:grid-cols-[2fr_1fr_1fr] lg:divide-x lg:divide-line">
        <Section title="Runs by status" aside={<Legend series={STATUS_SERIES} />}>
          <Later instead={CHART_PLACE}>
            <Answer query={histogram} loading={<Skeleton className="h-[120px] w-full" />}>
              {(found) => (
                <StackedBars
                  label={`Runs of ${agentId} over time by status`}
                  series={STATUS_SERIES}
                  bars={statusBars(found)}
                  zone={range.zone}
                  height={CHART_HEIGHT}
                  onBrush={(start, end) => setRange(brushed(start, end))}
                />
              )}
            </Answer>
          </Later>
        </Section>
        <Section
          title="Failure rate"
          aside={
            <Link to="/failures" search={own} className={LINK}>
              Failures →
            </Link>
          }
        >
          <Later instead={CHART_PLACE}>
            <Answer query={series} loading={<Skeleton className="h-[120px] w-full" />}>
              {(found) => <Lines label={`Failure rate of ${agentId} over time`} series={RATE_SERIES} points={ratePoints(found)} zone={range.zone} height={CHART_HEIGHT} format={percent} />}
            </Answer>
          </Later>
        </Section>
        <Section title="Duration" aside={<Legend series={DURATION_SERIES} />}>
          <Later instead={CHART_PLACE}>
            <Answer query={series} loading={<Skeleton className="h-[120px] w-full" />}>
              {(found) => <Lines label={`Duration of runs of ${agentId} over time`} series={DURATION_SERIES} points={durationPoints(found)} zone={range.zone} height={CHART_HEIGHT} format={duration} />}
            </Answer>
          </Later>
        </Section>
      </div>
      <Section
        title="Versions"
        flush
        aside={
          data.versions.length < data.total_versions
            ? `${count(data.versions.length)} of ${counted(data.total_versions, 'version')}, the newest first`
            : 'the newest first'
        }
      >
        <div className="px-2">
          <Table label={`Versions of ${agentId}`} columns={columns} rows={rows} rowKey={({ version }) => version.agent_version} />
        </div>
      </Section>
      <Later>{base !== undefined && <SideBySide agentId={agentId} base={base} candidate={candidate} filters={filters} />}</Later>
    </>
  );
}

function Numbers({
  data,
  agent,
  series,
  before,
  own,
}: {
  data: Versions;
  agent: Agent | undefined;
  series: Timeseries | undefined;
  before: Timeseries | undefined;
  own: FilterSearch;
}) {
  const now = useNow();
  const total = series?.total;
  const was = (before?.total_runs ?? 0) > 0 ? before?.total : undefined;
  const newest = data.versions[0];
  return (
    <div className="shrink-0 px-5 pt-1 pb-3">
      <Figures label="Numbers of the agent">
        <Figure name="Runs" detail={<ChangeText change={relativeChange(total?.runs, was?.runs)} />}>
          <Link to="/runs" search={own} className="hover:underline">
            {count(data.total_runs)}
          </Link>
        </Figure>
        <Figure name="Failure rate" detail={<ChangeText worse="up" change={pointsChange(total?.failure_rate, was?.failure_rate)} />}>
          <Link to="/runs" search={{ ...own, status: ['failure'] }} className="hover:underline">
            {percent(total?.failure_rate)}
          </Link>
        </Figure>
        <Figure name="p50 duration" detail={<ChangeText worse="up" change={relativeChange(total?.duration_ms.p50, was?.duration_ms.p50)} />}>
          {duration(total?.duration_ms.p50)}
        </Figure>
        <Figure name="p95 duration" detail={<ChangeText worse="up" change={relativeChange(total?.duration_ms.p95, was?.duration_ms.p95)} />}>
          {duration(total?.duration_ms.p95)}
        </Figure>
        <Figure name="Runs with retries">
          <Link to="/runs" search={{ ...own, retries: 'true' }} className="hover:underline">
            {agent === undefined ? count(undefined) : shareText(agent.runs_with_retries, agent.runs)}
          </Link>
        </Figure>
        <Figure name="Newest version" detail={typeof newest?.first_seen !== 'string' ? undefined : `first ${ago(newest.first_seen, now)}`}>
          <span className="font-mono text-13">{newest?.agent_version}</span>
        </Figure>
        <Figure name="Last run">{typeof agent?.last_seen !== 'string' ? '—' : ago(agent.last_seen, now)}</Figure>
      </Figures>
    </div>
  );
}
