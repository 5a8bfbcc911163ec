/** The numbers of the range in one line, each with its change and a link to the runs that it counts. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { agentsQuery, firstRunsQuery, timeseriesQuery } from '../../api/queries.ts';
import type { Timeseries } from '../../api/types.ts';
import { useBefore } from '../../app/before.ts';
import { useRange } from '../../app/range.tsx';
import { count, duration, percent, pointsChange, relativeChange, total } from '../../format/index.ts';
import { ChangeText } from '../../parts/change.tsx';
import { Figure, Figures } from '../../ui/figures.tsx';
import { apiFilter, type FilterSearch } from '../../url/filter.ts';

export function Numbers({ search, series }: { search: FilterSearch; series: Timeseries }) {
  const range = useRange();
  const filter = apiFilter(search, range);
  const beforeFilter = useBefore(search);
  const before = useQuery({ ...timeseriesQuery({ ...beforeFilter, buckets: 2 }), enabled: beforeFilter !== undefined });
  const agents = useQuery(agentsQuery(filter));
  const running = useQuery(firstRunsQuery({ ...apiFilter(search, {}), status: ['running'] }, 1));
  const now = series.total;
  const was = beforeFilter === undefined ? undefined : before.data?.total;
  const comparable = (was?.runs ?? 0) > 0;
  return (
    <div className="shrink-0 px-5 pt-1 pb-3">
      <Figures label="Numbers of the range">
        <Figure name="Runs" detail={<ChangeText change={comparable ? relativeChange(now?.runs, was?.runs) : undefined} />}>
          <Link to="/runs" search={search} className="hover:underline">
            {count(now?.runs)}
          </Link>
        </Figure>
        <Figure
          name="Failure rate"
          detail={<ChangeText worse="up" change={comparable ? pointsChange(now?.failure_rate, was?.failure_rate) : undefined} />}
        >
          {percent(now?.failure_rate)}
        </Figure>
        <Figure name="Failed runs" detail={<ChangeText worse="up" change={comparable ? relativeChange(now?.failures, was?.failures) : undefined} />}>
          <Link to="/runs" search={{ ...search, status: ['failure'] }} className="hover:underline">
            {count(now?.failures)}
          </Link>
        </Figure>
        <Figure
          name="p50 duration"
          detail={<ChangeText worse="up" change={relativeChange(now?.duration_ms.p50, was?.duration_ms.p50)} />}
        >
          {duration(now?.duration_ms.p50)}
        </Figure>
        <Figure
          name="p95 duration"
          detail={<ChangeText worse="up" change={relativeChange(now?.duration_ms.p95, was?.duration_ms.p95)} />}
        >
          {now?.duration_ms.p95 === null || now === undefined ? (
            duration(undefined)
          ) : (
            <Link to="/runs" search={{ ...search, min_ms: now.duration_ms.p95 }} className="hover:underline">
              {duration(now.duration_ms.p95)}
            </Link>
          )}
        </Figure>
        <Figure name="Agents">
          <Link to="/agents" search={search} className="hover:underline">
            {count(agents.data?.total_agents)}
          </Link>
        </Figure>
        <Figure name="Running now">
          <Link to="/runs" search={{ ...search, status: ['running'] }} className="hover:underline">
            {running.data === undefined ? count(undefined) : total(running.data.total)}
          </Link>
        </Figure>
      </Figures>
    </div>
  );
}
