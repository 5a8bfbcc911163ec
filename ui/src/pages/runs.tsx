import { useInfiniteQuery, useQuery, useQueryClient, type InfiniteData } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { GitCompare, Pause, Play, SlidersHorizontal } from 'lucide-react';
import { useMemo, useRef, useState } from 'react';

import { ApiError } from '../api/client.ts';
import { runsHistogram, runsList } from '../api/first.ts';
import { firstRunsQuery, type RunPage } from '../api/queries.ts';
import { usePulse, useTail } from '../api/tail.ts';
import type { RunSummary } from '../api/types.ts';
import { tick, useNow } from '../app/clock.ts';
import { useKeys } from '../app/keys.ts';
import { useRowHeight } from '../app/preferences.ts';
import { brushed, useRange, type PageRange } from '../app/range.tsx';
import { PageHeader } from '../app/shell.tsx';
import { Legend, STATUS_SERIES } from '../charts/series.tsx';
import { StackedBars } from '../charts/stacked-bars.tsx';
import { clock, count, duration, exactTime, total } from '../format/index.ts';
import { Answer, useKept } from '../parts/answer.tsx';
import { FilterChips } from '../parts/filters.tsx';
import { FirstRun } from '../parts/first-run.tsx';
import { StatusWord } from '../parts/marks.tsx';
import { Button, buttonClass } from '../ui/button.tsx';
import { useBreakpoint } from '../ui/breakpoint.ts';
import { cx } from '../ui/class.ts';
import { Later } from '../ui/later.tsx';
import { Empty, Skeleton, SkeletonRows } from '../ui/state.tsx';
import { VirtualTable, type Column } from '../ui/table.tsx';
import { readFilter, setFilters, toggleFilter, withoutFilters, type RunsSearch, type SortField } from '../url/filter.ts';
import { Facets } from './runs/facets.tsx';
import { Peek } from './runs/peek.tsx';
import { SavedViews } from './runs/saved-views.tsx';
import { SearchBox } from './runs/search-box.tsx';

/** The columns beside a run in short, in their order there. */
const BESIDE_PEEK = ['pick', 'status', 'agent', 'failure', 'started_at', 'duration_ms'];

const CHART_HEIGHT = 112;

/** A run of the API can be compared with one other. */
const PICKED = 2;

export default function RunsPage() {
  const search = useSearch({ from: '/runs' });
  const navigate = useNavigate({ from: '/runs' });
  const client = useQueryClient();
  const range = useRange();
  const now = useNow();
  const rowHeight = useRowHeight();
  const isAtLeast = useBreakpoint();
  const searchInput = useRef<HTMLInputElement>(null);
  const [paused, setPaused] = useState(false);
  const [activeIndex, setActiveIndex] = useState<number>();
  const [facetsOpen, setFacetsOpen] = useState(false);

  const live = search.live === true;
  const listQuery = runsList(search, range);
  const list = useInfiniteQuery(listQuery);
  const pages = useKept(list)?.pages;
  const nothing = pages?.[0]?.runs.length === 0;
  // Whether there is any run at all decides what an empty list means.
  const any = useQuery({ ...firstRunsQuery({ live: true }, 1), enabled: nothing });

  const runs = useMemo(() => {
    const seen = new Set<string>();
    // A live run can move between pages while it goes on.
    return (pages ?? []).flatMap((page) => page.runs.filter(({ run_id }) => !seen.has(run_id) && seen.add(run_id)));
  }, [pages]);

  const following = live && !paused && search.peek === undefined;
  useTail(following, async () => {
    // The first page is the newest; those behind it are read again when they are scrolled to.
    client.setQueryData(listQuery.queryKey, (data: InfiniteData<RunPage> | undefined) =>
      data === undefined ? data : { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) },
    );
    tick();
    await Promise.all(['runs', 'histogram', 'facets'].map((key) => client.invalidateQueries({ queryKey: [key] })));
  });
  const pulse = usePulse(following);

  const change = (to: Partial<RunsSearch> & { from?: string; to?: string }, replace = false) =>
    void navigate({ search: (before) => ({ ...before, ...to }), replace, resetScroll: false });
  const peeked = search.peek === undefined ? -1 : runs.findIndex(({ run_id }) => run_id === search.peek);
  const active = peeked >= 0 ? peeked : activeIndex;
  const picked = search.pick ?? [];

  const open = (run: RunSummary | undefined) => {
    if (run === undefined) return false;
    void navigate({ to: '/runs/$runId', params: { runId: run.run_id }, search: {} });
    return true;
  };
  const move = (by: number) => {
    if (runs.length === 0) return;
    const next = active === undefined ? (by > 0 ? 0 : runs.length - 1) : Math.max(0, Math.min(runs.length - 1, active + by));
    setActiveIndex(next);
    if (search.peek !== undefined) change({ peek: runs[next]?.run_id }, true);
  };
  const pick = (run: RunSummary | undefined) => {
    if (run === undefined) return;
    const next = picked.includes(run.run_id) ? picked.filter((id) => id !== run.run_id) : [...picked, run.run_id].slice(-PICKED);
    change({ pick: next.length === 0 ? undefined : next }, true);
  };
  const compare = () => {
    if (picked.length !== PICKED) return false;
    void navigate({ to: '/compare', search: { a: picked[0], b: picked[1] } });
    return true;
  };

  const group = 'Runs';
  useKeys([
    { key: 'j', label: 'Next run', group, run: () => move(1) },
    { key: 'ArrowDown', label: 'Next run', group, run: () => move(1) },
    { key: 'k', label: 'Previous run', group, run: () => move(-1) },
    { key: 'ArrowUp', label: 'Previous run', group, run: () => move(-1) },
    { key: 'Enter', label: 'Open the run', group, run: () => open(runs[active ?? -1]) },
    { key: ' ', label: 'Look at the run here', group, run: () => (runs[active ?? -1] === undefined ? false : change({ peek: search.peek === undefined ? runs[active ?? -1]?.run_id : undefined })) },
    { key: 'Escape', label: 'Close', group, run: () => (search.peek === undefined ? false : change({ peek: undefined })) },
    { key: '/', label: 'Search', group, run: () => searchInput.current?.focus() },
    { key: 'f', label: 'Only failed runs', group, run: () => change(toggleFilter(readFilter(search), 'status', 'failure')) },
    { key: 'x', label: 'Select to compare', group, run: () => pick(runs[active ?? -1]) },
    { key: 'c', label: 'Compare the two selected', group, run: compare },
    { key: 'l', label: 'Live', group, run: () => change({ live: live ? undefined : true }) },
  ]);

  // On a window of 1,280 pixels the failure still stands in view, beside the facets.
  const columns: Column<RunSummary>[] = [
    {
      id: 'pick',
      title: 'Select',
      heading: null,
      width: '28px',
      cell: (run) => (
        <input
          type="checkbox"
          aria-label={`Select run ${run.run_id} to compare`}
          checked={picked.includes(run.run_id)}
          onChange={() => pick(run)}
          className="block size-3.5 accent-(--accent)"
        />
      ),
    },
    { id: 'status', title: 'Status', width: '90px', cell: (run) => <StatusWord status={run.status} /> },
    {
      id: 'agent',
      title: 'Agent',
      width: 'minmax(120px, 1.6fr)',
      cell: (run) => (
        <Link to="/runs/$runId" params={{ runId: run.run_id }} search={{}} className="hover:underline" aria-label={`Open run ${run.run_id} of ${run.agent_id}`}>
          {run.agent_id}
        </Link>
      ),
    },
    { id: 'version', title: 'Version', width: '72px', from: 'md', mono: true, cell: (run) => run.agent_version },
    { id: 'env', title: 'Environment', width: '88px', from: 'md', cell: (run) => <span className="text-ink-2">{run.environment}</span> },
    {
      id: 'started_at',
      title: 'Started',
      width: '114px',
      mono: true,
      sortable: true,
      cell: (run) => (
        <time dateTime={run.started_at} title={exactTime(run.started_at, range.zone)}>
          {clock(run.started_at, range.zone, now)}
        </time>
      ),
    },
    { id: 'duration_ms', title: 'Duration', width: '80px', from: 'md', align: 'end', mono: true, sortable: true, cell: (run) => duration(run.duration_ms) },
    { id: 'step_count', title: 'Steps', width: '60px', from: 'md', align: 'end', mono: true, sortable: true, cell: (run) => count(run.step_count) },
    { id: 'retry_count', title: 'Retries', width: '66px', from: 'md', align: 'end', mono: true, sortable: true, cell: (run) => (run.retry_count === 0 ? <span className="text-ink-3">0</span> : count(run.retry_count)) },
    {
      id: 'failure',
      title: 'Failure',
      width: 'minmax(120px, 1.4fr)',
      from: 'md',
      mono: true,
      cell: (run) => {
        const [first, ...more] = run.failures;
        if (first === undefined) return '';
        return (
          <span className={run.status === 'failure' ? 'text-failure' : 'text-partial'}>
            {first.failure_type}/{first.failure_code}
            {more.length > 0 && ` +${more.length}`}
          </span>
        );
      },
    },
    { id: 'decisions', title: 'Decisions', heading: '◆', width: '36px', from: 'md', align: 'end', mono: true, cell: (run) => <span title="decisions">{count(run.decision_count)}</span> },
    {
      id: 'attention',
      title: 'Signals that ask for attention',
      heading: '▼',
      width: '36px',
      from: 'md',
      align: 'end',
      mono: true,
      cell: (run) => (
        <span title="signals that ask for attention" className={run.attention_count > 0 ? 'text-failure' : 'text-ink-3'}>
          {count(run.attention_count)}
        </span>
      ),
    },
  ];

  // Beside a run in short there is room for what tells runs apart.
  const shownColumns =
    search.peek === undefined ? columns : BESIDE_PEEK.flatMap((id) => columns.find((column) => column.id === id) ?? []);

  const lineError = list.error instanceof ApiError ? list.error.details.filter(({ loc }) => loc[1] === 'q').map(({ msg }) => msg).join('; ') : '';
  const first = pages?.[0];
  const listState = lineError === '' ? list : { ...list, error: null };

  if (nothing && any.data?.runs.length === 0) {
    return (
      <>
        <PageHeader title="Runs" />
        <div className="scroll-quietly min-h-0 grow overflow-y-auto" tabIndex={0} role="region" aria-label="First run">
          <FirstRun />
        </div>
      </>
    );
  }
  return (
    <>
      <PageHeader title="Runs">
        <SavedViews />
        <Button
          aria-pressed={live}
          icon={live && !following ? <Pause size={14} aria-hidden="true" /> : <Play size={14} aria-hidden="true" />}
          title="Show runs as they arrive (l)"
          onClick={() => (live && paused ? setPaused(false) : change({ live: live ? undefined : true }))}
        >
          <span className={pulse ? 'text-running' : ''}>{live ? (following ? '● Live' : 'Live: paused') : 'Live'}</span>
        </Button>
      </PageHeader>
      <div className="flex flex-wrap items-start gap-2 px-5 pb-2">
        <SearchBox
          inputRef={searchInput}
          line={search.q ?? ''}
          error={lineError === '' ? undefined : lineError}
          range={range}
          onLine={(line) => change({ q: line === '' ? undefined : line })}
        />
        <Button className="lg:hidden" aria-expanded={facetsOpen} icon={<SlidersHorizontal size={14} />} onClick={() => setFacetsOpen(!facetsOpen)}>
          Filters
        </Button>
        {picked.length > 0 && (
          <Button kind={picked.length === PICKED ? 'primary' : 'plain'} disabled={picked.length !== PICKED} icon={<GitCompare size={14} aria-hidden="true" />} onClick={compare}>
            {picked.length === PICKED ? 'Compare the two' : 'Select one more to compare'}
          </Button>
        )}
      </div>
      <div className="px-5 empty:hidden [&>*]:pb-2">
        <FilterChips
          search={readFilter(search)}
          without={['q']}
          onRemove={(name, value) => change(toggleFilter(readFilter(search), name, value))}
          onClear={() => void navigate({ search: (before) => withoutFilters(before) })}
        />
      </div>
      <div className="shrink-0 border-t border-line px-5 pt-2">
        <RunsOverTime search={search} range={range} onBrush={(start, end) => change(brushed(start, end))} />
        <div className="flex items-center justify-between pb-1.5">
          <Legend series={STATUS_SERIES} />
          <p role="status" className="text-12 text-ink-2">
            {first === undefined ? '' : `${total(first.total)} ${first.total.count === 1 && first.total.exact ? 'run' : 'runs'}`}
          </p>
        </div>
      </div>
      <div className="relative flex min-h-0 grow border-t border-line">
        <section
          aria-label="Filters by value"
          tabIndex={-1}
          className={cx(
            'scroll-quietly w-56 shrink-0 overflow-y-auto border-r border-line bg-panel px-3 py-2 max-lg:absolute max-lg:inset-y-0 max-lg:left-0 max-lg:z-20',
            facetsOpen ? '' : 'max-lg:hidden',
          )}
        >
          {(facetsOpen || isAtLeast('lg')) && (
            <Later>
              <Facets search={readFilter(search)} range={range} onToggle={(name, value) => change(toggleFilter(readFilter(search), name, value))} />
            </Later>
          )}
        </section>
        <div className="flex min-h-0 min-w-0 grow flex-col">
          <Answer query={listState} loading={lineError === '' ? <SkeletonRows rows={20} /> : null}>
            {() =>
              runs.length === 0 ? (
                <NoMatch search={search} onClear={() => void navigate({ search: (before) => withoutFilters(before) })} onAll={() => change({ from: 'all', to: undefined })} isAll={range.start === undefined} />
              ) : (
                <VirtualTable
                  label="Runs"
                  columns={shownColumns}
                  rows={runs}
                  rowKey={(run) => run.run_id}
                  rowCount={first?.total.exact === true ? first.total.count : -1}
                  rowHeight={rowHeight}
                  sorting={{ by: search.sort ?? 'started_at', order: search.order ?? 'desc' }}
                  onSort={({ by, order }) => change({ sort: by === 'started_at' ? undefined : (by as SortField), order: order === 'desc' ? undefined : order })}
                  active={active}
                  onActivate={(run, index) => {
                    setActiveIndex(index);
                    change({ peek: run.run_id });
                  }}
                  onOpen={open}
                  isSelected={(run) => picked.includes(run.run_id)}
                  onEnd={() => {
                    if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
                  }}
                  footer={
                    <p role="status" className="sticky left-0 px-5 py-2 text-12 text-ink-3">
                      {list.isFetchingNextPage ? 'Loading more…' : list.hasNextPage ? '' : `All ${count(runs.length)} are shown.`}
                    </p>
                  }
                />
              )
            }
          </Answer>
        </div>
        {search.peek !== undefined && <Peek key={search.peek} runId={search.peek} onClose={() => change({ peek: undefined })} />}
      </div>
    </>
  );
}

/** It has its own question, whose answer is no news for the list. */
function RunsOverTime({ search, range, onBrush }: { search: RunsSearch; range: PageRange; onBrush: (start: Date, end: Date) => void }) {
  const histogram = useKept(useQuery(runsHistogram(search, range)));
  const place = <div style={{ height: CHART_HEIGHT }} />;
  if (histogram === undefined) return <Skeleton className="h-[112px] w-full" />;
  return (
    <Later instead={place}>
      <StackedBars
        label="Runs over time by status"
        series={STATUS_SERIES}
        bars={histogram.buckets.map(({ start, end, by_status }) => ({
          start: new Date(start),
          end: new Date(end),
          values: [by_status.failure, by_status.partial, by_status.success],
        }))}
        zone={range.zone}
        height={CHART_HEIGHT}
        onBrush={onBrush}
      />
    </Later>
  );
}

function NoMatch({ search, onClear, onAll, isAll }: { search: RunsSearch; onClear: () => void; onAll: () => void; isAll: boolean }) {
  const set = setFilters(readFilter(search));
  return (
    <Empty
      title="No run matches"
      action={
        <>
          {set.length > 0 && <Button onClick={onClear}>Clear the filters</Button>}
          {!isAll && <Button onClick={onAll}>Look in all time</Button>}
          <Link to="/runs" search={{}} className={buttonClass('quiet')}>
            Start anew
          </Link>
        </>
      }
    >
      {set.length > 0 ? (
        <>
          The filters: <span className="font-mono text-12">{set.map(({ name, values }) => `${name} ${values.join(' or ')}`).join(', ')}</span>.
        </>
      ) : (
        'There is no run in this time range.'
      )}
    </Empty>
  );
}
