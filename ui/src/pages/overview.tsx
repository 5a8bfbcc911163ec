/** What is failing now, where, and since when. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import { OVERVIEW_CLUSTERS, overviewFailures, overviewSeries } from '../api/first.ts';
import { firstRunsQuery, histogramQuery } from '../api/queries.ts';
import type { Failures, Timeseries } from '../api/types.ts';
import { useKeys } from '../app/keys.ts';
import { brushed, useRange, useSetRange, type PageRange } from '../app/range.tsx';
import { PageHeader } from '../app/shell.tsx';
import { Lines } from '../charts/lines.tsx';
import { Legend, STATUS_SERIES } from '../charts/series.tsx';
import { StackedBars } from '../charts/stacked-bars.tsx';
import { duration, percent } from '../format/index.ts';
import { Answer } from '../parts/answer.tsx';
import { stepSearch } from '../parts/cluster-words.ts';
import { FirstRun } from '../parts/first-run.tsx';
import { Narrow, useSetFilters } from '../parts/narrow.tsx';
import { Nothing } from '../parts/nothing.tsx';
import { DURATION_SERIES, durationPoints, RATE_SERIES, ratePoints, statusBars } from '../parts/series-of-runs.ts';
import { LINK } from '../ui/class.ts';
import { Later } from '../ui/later.tsx';
import { Section } from '../ui/section.tsx';
import { Skeleton, SkeletonRows } from '../ui/state.tsx';
import { apiFilter, type FilterSearch } from '../url/filter.ts';
import { TopAgents } from './overview/agents.tsx';
import { FailingMost } from './overview/banner.tsx';
import { TopClusters, TopCodes } from './overview/failing.tsx';
import { Numbers } from './overview/numbers.tsx';

const CHART_HEIGHT = 132;
const CHART_PLACE = <div style={{ height: CHART_HEIGHT }} />;

export default function Overview() {
  const search = useSearch({ from: '/' });
  const range = useRange();
  const setFilters = useSetFilters();
  const series = useQuery(overviewSeries(search, range));
  const failures = useQuery(overviewFailures(search, range));
  const nothing = series.data?.total_runs === 0;
  // Whether there is nothing here, or nothing at all.
  const any = useQuery({ ...firstRunsQuery({ live: true }, 1), enabled: nothing });
  const first = nothing && any.data?.runs.length === 0;
  return (
    <>
      <PageHeader title="Overview" range={!first}>
        {!first && <Narrow search={search} onChange={setFilters} />}
      </PageHeader>
      <div className="scroll-quietly relative min-h-0 grow overflow-auto">
        <Answer query={series} loading={<Loading />}>
          {(data) =>
            first ? (
              <FirstRun />
            ) : nothing ? (
              <div className="border-t border-line">{any.data !== undefined && <Nothing search={search} onClear={() => setFilters({})} />}</div>
            ) : (
              <Found search={search} series={data} failures={failures} range={range} />
            )
          }
        </Answer>
      </div>
    </>
  );
}

function Found({
  search,
  series,
  failures,
  range,
}: {
  search: FilterSearch;
  series: Timeseries;
  failures: Parameters<typeof Answer<Failures>>[0]['query'];
  range: PageRange;
}) {
  const navigate = useNavigate();
  const setRange = useSetRange();
  const histogram = useQuery(histogramQuery({ ...apiFilter(search, range), buckets: 60, time_zone: range.time_zone }));
  const most = failures.data?.clusters[0];
  useKeys([
    {
      key: 'f',
      label: 'Open the newest run of what fails most',
      group: 'Overview',
      run: () => {
        const [runId] = most?.examples ?? [];
        if (runId === undefined) return false;
        return void navigate({ to: '/runs/$runId', params: { runId }, search: stepSearch(most?.cause ?? null) });
      },
    },
  ]);
  return (
    <>
      <Numbers search={search} series={series} />
      <FailingMost failures={failures.data} isAsked={failures.error === null} />
      <div className="grid lg:grid-cols-[2fr_1fr_1fr] lg:divide-x lg:divide-line">
        <Section
          title="Runs by status"
          className="border-t-0"
          aside={
            <>
              <Legend series={STATUS_SERIES} />
              <Link to="/runs" search={search} className={LINK}>
                All runs →
              </Link>
            </>
          }
        >
          <Later instead={CHART_PLACE}>
            <Answer query={histogram} loading={<Skeleton className="h-[132px] w-full" />}>
              {(data) => (
                <StackedBars
                  label="Runs over time by status"
                  series={STATUS_SERIES}
                  bars={statusBars(data)}
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
          className="lg:border-t-0"
          aside={
            <Link to="/runs" search={{ ...search, status: ['failure'] }} className={LINK}>
              Failed runs →
            </Link>
          }
        >
          <Later instead={CHART_PLACE}>
            <Lines label="Failure rate over time" series={RATE_SERIES} points={ratePoints(series)} zone={range.zone} height={CHART_HEIGHT} format={percent} />
          </Later>
        </Section>
        <Section title="Duration" className="lg:border-t-0" aside={<Legend series={DURATION_SERIES} />}>
          <Later instead={CHART_PLACE}>
            <Lines label="Duration of runs over time" series={DURATION_SERIES} points={durationPoints(series)} zone={range.zone} height={CHART_HEIGHT} format={duration} />
          </Later>
        </Section>
      </div>
      <Later>
        <div className="grid xl:grid-cols-[minmax(0,1fr)_minmax(0,400px)] 2xl:grid-cols-[minmax(0,1fr)_minmax(0,470px)] xl:divide-x xl:divide-line">
          <Answer
            query={failures}
            loading={
              // As high as the heads and the rows that come.
              <div className="border-t border-line pt-[66px]">
                <SkeletonRows rows={OVERVIEW_CLUSTERS} />
              </div>
            }
          >
            {(data) => <TopClusters failures={data} search={search} />}
          </Answer>
          <TopCodes search={search} />
        </div>
        <TopAgents search={search} />
      </Later>
    </>
  );
}

function Loading() {
  return (
    <div role="status" aria-label="Loading">
      <div className="flex gap-12 px-5 py-3">
        {Array.from({ length: 7 }, (_, at) => (
          <Skeleton key={at} className="h-8 w-24" />
        ))}
      </div>
      <div className="border-t border-line px-5 py-4">
        <Skeleton className="h-36 w-full" />
      </div>
      <SkeletonRows rows={14} />
    </div>
  );
}
