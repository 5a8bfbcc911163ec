import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Download, GitCompare, Info, Link2, Pause, Play, RotateCw, Search } from 'lucide-react';
import { useCallback, useMemo, useRef, useState, type ReactNode } from 'react';

import { ApiError } from '../api/client.ts';
import { firstRunsQuery, runLatencyQuery, runQuery } from '../api/queries.ts';
import { isRefused } from '../api/session.ts';
import { usePulse, useTail } from '../api/tail.ts';
import type { Run, RunLatency } from '../api/types.ts';
import { useKeys } from '../app/keys.ts';
import { useZone } from '../app/range.tsx';
import { count, counted, dateTime, duration, exactTime, zoneLabel } from '../format/index.ts';
import { Answer, failureText } from '../parts/answer.tsx';
import { StatusBadge, STEP_COLOR, StepMark } from '../parts/marks.tsx';
import { parseWindow, windowText } from '../timeline/layout.ts';
import { filterRows, nextFailed, timelineOf, type Row, type Timeline, type Window } from '../timeline/rows.ts';
import { STEP_TYPES, type RunSearch } from '../url/filter.ts';
import { Badge } from '../ui/badge.tsx';
import { Button, buttonClass } from '../ui/button.tsx';
import { ToggleChip } from '../ui/chip.tsx';
import { CopyButton, CopyIcon } from '../ui/copy.tsx';
import { Key, Segmented, SelectField, TextField } from '../ui/field.tsx';
import { Figure, Figures } from '../ui/figures.tsx';
import { Popover } from '../ui/popover.tsx';
import { Empty, Notice, Skeleton, SkeletonRows } from '../ui/state.tsx';
import { Minimap, type MinimapHandle } from './run/minimap.tsx';
import { Fact, Facts, StepPanel } from './run/step-panel.tsx';
import { DecisionsView, EventsView, StepTable } from './run/tables.tsx';
import { Waterfall, type WaterfallHandle } from './run/waterfall.tsx';

export default function RunPage() {
  const { runId } = useParams({ from: '/runs/$runId' });
  const run = useQuery(runQuery(runId));
  // Nothing waits for it, since its numbers have their place; and the run does not share a slow line with it.
  const latency = useQuery({ ...runLatencyQuery(runId), enabled: run.data !== undefined });
  if (run.data === undefined && run.error instanceof ApiError && (run.error.status === 404 || run.error.status === 422)) {
    return <NoRun runId={runId} error={run.error} />;
  }
  return (
    <Answer key={runId} query={run} loading={<Loading runId={runId} />}>
      {(data) => <Shown run={data} latency={latencyOf(latency)} />}
    </Answer>
  );
}

/** What the server says about where the time went, or why it does not. */
interface Latency {
  data: RunLatency | undefined;
  /** It failed, after it was asked more than once. While it is asked again, that stays true. */
  missing: boolean;
  error: Error | null;
  busy: boolean;
  retry: () => void;
}

function latencyOf({ data, error, errorUpdateCount, isFetching, refetch }: UseQueryResult<RunLatency>): Latency {
  return { data, missing: data === undefined && errorUpdateCount > 0, error, busy: isFetching, retry: () => void refetch() };
}

function Crumbs({ runId }: { runId: string }) {
  return (
    <nav aria-label="Where this is" className="flex min-w-0 items-center gap-2 text-12 text-ink-2">
      <Link to="/runs" className="hover:underline">
        Runs
      </Link>
      <span aria-hidden="true">›</span>
      <span className="min-w-0 truncate font-mono">{runId}</span>
      <CopyIcon text={runId} label="Copy the run id" />
    </nav>
  );
}

function Loading({ runId }: { runId: string }) {
  return (
    <div className="flex min-h-0 grow flex-col" aria-busy="true">
      <title>Run · AgentTracer</title>
      <div className="px-5 pt-2">
        <Crumbs runId={runId} />
        <h1 className="sr-only">Run {runId}</h1>
        <Skeleton className="mt-1 h-6 w-80" />
        <Skeleton className="mt-4 h-8 w-full" />
        <Skeleton className="mt-4 h-14 w-full" />
      </div>
      <div className="mt-4">
        <SkeletonRows rows={24} />
      </div>
    </div>
  );
}

function NoRun({ runId, error }: { runId: string; error: ApiError }) {
  return (
    <>
      <title>No such run · AgentTracer</title>
      <div className="px-5 pt-2">
        <Crumbs runId={runId} />
      </div>
      <h1 className="sr-only">No such run</h1>
      <Empty
        title={error.status === 422 ? 'This is no run id' : 'There is no such run'}
        action={
          <Link to="/runs" search={{ from: 'all' }} className={buttonClass()}>
            All runs
          </Link>
        }
      >
        <p>{error.message}.</p>
        {error.status === 404 && (
          <p className="mt-2">
            It may have been erased, or be older than the retention of this server, or it belongs to another one: the id is right
            only for the server that took the run in.
          </p>
        )}
      </Empty>
    </>
  );
}

function Shown({ run, latency }: { run: Run; latency: Latency }) {
  const search = useSearch({ from: '/runs/$runId' });
  const navigate = useNavigate({ from: '/runs/$runId' });
  const client = useQueryClient();
  const waterfall = useRef<WaterfallHandle>(null);
  const minimap = useRef<MinimapHandle>(null);
  const filterInput = useRef<HTMLInputElement>(null);
  const [paused, setPaused] = useState(false);

  const timeline = useMemo(() => timelineOf(run), [run]);
  const slowMs = latency.data?.step_latency_ms.p95;
  const { q, types, only } = search;
  const rows = useMemo(() => filterRows(timeline.rows, { q, types, only, slowMs }), [timeline, q, types, only, slowMs]);
  const pinned = useMemo(() => parseWindow(search.t, timeline.span), [search.t, timeline.span]);
  const chosen = search.step === undefined ? undefined : timeline.rows.find(({ step }) => step.seq === search.step);
  const at = chosen === undefined ? -1 : rows.indexOf(chosen);
  const view = search.view ?? 'waterfall';

  // Somebody who reads a step is not carried away from it.
  const isRunning = run.status === 'running';
  const following = isRunning && !paused && chosen === undefined;
  const onTail = () => {
    // What is worked out from the run comes when it comes; the next steps do not wait for it.
    void client.refetchQueries({ queryKey: ['run', run.run_id], predicate: ({ queryKey }) => queryKey.length > 2 }, { cancelRefetch: false });
    return client.refetchQueries({ queryKey: ['run', run.run_id], exact: true });
  };
  useTail(following, onTail, {
    concerns: ({ runs }) => runs === 'any' || runs.includes(run.run_id),
  });

  const change = useCallback(
    (to: Partial<RunSearch>, replace = false) =>
      void navigate({ search: (before: RunSearch) => ({ ...before, ...to }), replace, resetScroll: false }),
    [navigate],
  );
  // Opening a step is a step of the history; going from one to the next is not.
  const select = (row: Row) => change({ step: row.step.seq }, search.step !== undefined);
  const jump = (row: Row | undefined) => {
    if (row === undefined) return false;
    // A filter that hides it would make the jump lead nowhere.
    const hidden = !rows.includes(row);
    change({ step: row.step.seq, t: undefined, ...(hidden ? { q: undefined, types: undefined, only: undefined } : {}) }, search.step !== undefined);
    return true;
  };
  const move = (by: number) => {
    const next = rows[at === -1 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by))];
    if (next !== undefined) select(next);
  };
  const whole = () => change({ t: windowText({ start: Math.max(0, timeline.span.start), end: timeline.span.end }) });
  const follow = () => change({ t: undefined });

  const neighbour = async (newer: boolean) => {
    const range = newer ? { start_time: run.started_at } : { end_time: run.started_at };
    const page = await client.query(
      firstRunsQuery({ agent_id: [run.agent_id], ...range, sort: 'started_at', order: newer ? 'asc' : 'desc' }, 2),
    );
    const other = page.runs.find(({ run_id }) => run_id !== run.run_id);
    if (other !== undefined) void navigate({ to: '/runs/$runId', params: { runId: other.run_id }, search: {} });
  };

  const group = 'Run';
  useKeys([
    { key: 'j', label: 'Next step', group, run: () => move(1) },
    { key: 'ArrowDown', label: 'Next step', group, run: () => move(1) },
    { key: 'k', label: 'Previous step', group, run: () => move(-1) },
    { key: 'ArrowUp', label: 'Previous step', group, run: () => move(-1) },
    { key: 'PageDown', run: () => move(20) },
    { key: 'PageUp', run: () => move(-20) },
    { key: 'Home', run: () => move(-rows.length) },
    { key: 'End', run: () => move(rows.length) },
    { key: 'Escape', label: 'Close the step', group, run: () => (search.step === undefined ? false : change({ step: undefined })) },
    { key: '/', label: 'Filter steps by name', group, run: () => filterInput.current?.focus() },
    { key: 'f', label: 'Jump to the failure', group, run: () => jump(timeline.failure) },
    { key: 'n', label: 'Next failed attempt', group, run: () => jump(nextFailed(timeline.rows, chosen?.index ?? -1, 1)) },
    { key: 'p', label: 'Previous failed attempt', group, run: () => jump(nextFailed(timeline.rows, chosen?.index ?? 0, -1)) },
    { key: 'a', label: 'Axis: the whole run', group, run: whole },
    { key: '0', label: 'Axis: follow the rows', group, run: follow },
    { key: '[', label: 'The run before, of this agent', group, run: () => void neighbour(false) },
    { key: ']', label: 'The run after, of this agent', group, run: () => void neighbour(true) },
    { key: 'c', label: 'Compare with another run', group, run: () => void navigate({ to: '/compare', search: { a: run.run_id } }) },
    ...(isRunning ? [{ key: 'l', label: 'Follow the live run, or pause', group, run: () => setPaused(!paused) }] : []),
  ]);

  const failure = run.failures.find(({ step_id }) => step_id === timeline.failure?.step.step_id) ?? run.failures[0];
  return (
    <div className="flex min-h-0 grow flex-col max-md:overflow-y-auto">
      <title>{`${run.agent_id} ${run.status} · AgentTracer`}</title>
      <Header run={run} paused={paused || chosen !== undefined} onPause={() => setPaused(!paused)} />
      <div className="shrink-0 overflow-x-auto px-5 pb-2" tabIndex={-1}>
        <RunFigures run={run} latency={latency} timeline={timeline} />
      </div>
      <LatencyMissing latency={latency} />
      {failure !== undefined && <Banner run={run} failure={failure} row={timeline.failure} onJump={() => jump(timeline.failure)} />}
      {timeline.rows.length === 0 ? (
        <Empty title="This run has no steps">It {isRunning ? 'has just begun' : 'ended before its first step'}.</Empty>
      ) : (
        <>
          <Minimap
            timeline={timeline}
            pinned={pinned !== undefined}
            handle={minimap}
            onPin={(window) => change({ t: windowText(window), view: undefined })}
            onRelease={(time) => {
              if (pinned !== undefined) follow();
              waterfall.current?.revealTime(time);
            }}
          />
          <div className="flex shrink-0 flex-wrap items-center gap-2 border-y border-line px-5 py-1.5">
            <TextField
              ref={filterInput}
              label="Filter steps by name"
              hideLabel
              placeholder="Filter steps"
              className="w-40 2xl:w-60 max-md:w-full"
              icon={<Search size={14} aria-hidden="true" />}
              trailing={<Key>/</Key>}
              value={q ?? ''}
              onChange={(event) => change({ q: event.target.value === '' ? undefined : event.target.value }, true)}
              onKeyDown={(event) => {
                if (event.key === 'Escape' || event.key === 'Enter') {
                  event.preventDefault();
                  event.currentTarget.blur();
                  waterfall.current?.focus();
                }
              }}
            />
            <TypeChips timeline={timeline} latency={latency} types={types} onChange={(next) => change({ types: next }, true)} />
            <Segmented
              label="Only"
              value={only ?? 'all'}
              options={[
                { value: 'all', label: 'All' },
                { value: 'failed', label: 'Failed' },
                { value: 'retries', label: 'Retries' },
                { value: 'slow', label: '≥ p95' },
                { value: 'decisions', label: 'Decisions' },
              ]}
              onChange={(next) => change({ only: next === 'all' ? undefined : next }, true)}
            />
            <span role="status" className="ml-auto text-12 text-ink-3 max-2xl:sr-only">
              {rows.length === timeline.rows.length ? counted(rows.length, 'step') : `${count(rows.length)} of ${counted(timeline.rows.length, 'step')}`}
            </span>
            <span className="ml-auto 2xl:hidden" />
            <SelectField
              label="View"
              hideLabel
              value={view}
              options={[
                { value: 'waterfall', label: 'Waterfall' },
                { value: 'table', label: 'Table' },
                { value: 'decisions', label: 'Decisions' },
                { value: 'events', label: 'Events' },
              ]}
              onChange={(next) => change({ view: next === 'waterfall' ? undefined : next })}
            />
            {view === 'waterfall' && (
              <Button
                aria-pressed={pinned !== undefined}
                title={pinned === undefined ? 'Pin the axis to the whole run (a)' : 'Let the axis follow the rows (0)'}
                onClick={pinned === undefined ? whole : follow}
              >
                Axis: {pinned === undefined ? 'follows rows' : 'pinned'}
              </Button>
            )}
          </div>
          <div className="relative flex min-h-0 grow max-md:min-h-96">
            <div className="flex min-h-0 min-w-0 grow flex-col">
              {only === 'slow' && slowMs === undefined && (view === 'waterfall' || view === 'table') ? (
                <NotKnownYet latency={latency} />
              ) : rows.length === 0 && (view === 'waterfall' || view === 'table') ? (
                <Empty
                  title="No step matches"
                  action={<Button onClick={() => change({ q: undefined, types: undefined, only: undefined })}>Clear the filter</Button>}
                >
                  {describeFilter(search)}
                </Empty>
              ) : view === 'waterfall' ? (
                <Waterfall
                  handle={waterfall}
                  rows={rows}
                  span={timeline.span}
                  pinned={pinned}
                  selected={at === -1 ? undefined : at}
                  slowMs={slowMs}
                  onSelect={select}
                  onWindow={(window: Window) => minimap.current?.show(window)}
                />
              ) : view === 'table' ? (
                <StepTable rows={rows} selected={at === -1 ? undefined : at} slowMs={slowMs} onSelect={select} />
              ) : view === 'decisions' ? (
                <DecisionsView run={run} timeline={timeline} onSelect={select} />
              ) : (
                <EventsView runId={run.run_id} />
              )}
            </div>
            {chosen !== undefined && (
              <StepPanel
                run={run}
                timeline={timeline}
                row={chosen}
                slowMs={slowMs}
                tab={search.tab ?? 'details'}
                onTab={(tab) => change({ tab: tab === 'details' ? undefined : tab }, true)}
                onSelect={(row) => jump(row)}
                onClose={() => {
                  change({ step: undefined });
                  waterfall.current?.focus();
                }}
              />
            )}
          </div>
          <Legend />
        </>
      )}
    </div>
  );
}

/** Says that the numbers of where the time went are not there; everything else is. */
function LatencyMissing({ latency }: { latency: Latency }) {
  // That the session ended is said once, over the page.
  if (!latency.missing || (latency.error !== null && isRefused(latency.error))) return null;
  return (
    <div role="alert" className="shrink-0">
      <Notice title="Some numbers are missing" action={<TryAgain latency={latency} />}>
        Retries, the p95 of steps and idle time could not be loaded
        {latency.error === null ? '; trying again…' : `: ${failureText(latency.error).message}.`} The steps are all there.
      </Notice>
    </div>
  );
}

/** It keeps the focus while it is tried, since it may be needed again. */
function TryAgain({ latency }: { latency: Latency }) {
  return (
    <Button small aria-disabled={latency.busy} onClick={latency.busy ? undefined : latency.retry} icon={<RotateCw size={12} aria-hidden="true" />}>
      Try again
    </Button>
  );
}

/** In the place of the slow steps, while nobody has said from when on a step is slow. */
function NotKnownYet({ latency }: { latency: Latency }) {
  if (!latency.missing) return <SkeletonRows rows={20} />;
  return (
    <Empty title="Which steps are slow is not known" action={<TryAgain latency={latency} />}>
      The p95 of this run’s steps could not be loaded.
    </Empty>
  );
}

function describeFilter({ q, types, only }: RunSearch): string {
  const parts = [
    q === undefined ? '' : `name contains “${q}”`,
    types === undefined ? '' : `type is ${types.join(' or ')}`,
    only === undefined ? '' : `only ${only}`,
  ];
  return `The filter: ${parts.filter((part) => part !== '').join(', ')}.`;
}

function Header({ run, paused, onPause }: { run: Run; paused: boolean; onPause: () => void }) {
  const zone = useZone();
  const pulse = usePulse(run.status === 'running' && !paused);
  return (
    <header className="shrink-0 px-5 pt-1.5 pb-2">
      <Crumbs runId={run.run_id} />
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
        <h1 className="text-20 font-semibold break-all">{run.agent_id}</h1>
        <Link to="/runs" search={{ agent: [run.agent_id], version: [run.agent_version] }}>
          <Badge outline mono>
            {run.agent_version}
          </Badge>
        </Link>
        <Badge outline>{run.environment}</Badge>
        <StatusBadge status={run.status} />
        {run.status === 'running' && (
          <Button small icon={paused ? <Play size={12} /> : <Pause size={12} />} onClick={onPause} aria-pressed={!paused}>
            <span className={pulse ? 'text-running' : ''}>{paused ? 'Live: paused' : '● Live'}</span>
          </Button>
        )}
        <time dateTime={run.started_at} title={exactTime(run.started_at, zone)} className="font-mono text-12 text-ink-2">
          {dateTime(run.started_at, zone)} {zoneLabel(new Date(run.started_at), zone)}
        </time>
        <div className="ml-auto flex flex-wrap gap-2">
          <About run={run} />
          <Link to="/compare" search={{ a: run.run_id }} className={buttonClass()}>
            <GitCompare size={14} aria-hidden="true" />
            Compare
          </Link>
          <CopyButton label="Copy link" text={() => location.href} icon={<Link2 size={14} />} />
          <a href={`/v1/runs/${run.run_id}`} download={`${run.run_id}.json`} className={buttonClass()}>
            <Download size={14} aria-hidden="true" />
            JSON
          </a>
        </div>
      </div>
    </header>
  );
}

/** What a run is known by besides its steps. */
function About({ run }: { run: Run }) {
  const zone = useZone();
  return (
    <Popover
      label="About this run"
      align="end"
      buttonClassName={buttonClass()}
      className="max-h-[70vh] w-96 max-w-[92vw] overflow-y-auto px-3"
      button={
        <>
          <Info size={14} aria-hidden="true" />
          About
        </>
      }
    >
      {(close) => (
        <div className="flex flex-col gap-3">
          <dl>
            <Fact name="Started">{exactTime(run.started_at, zone)}</Fact>
            <Fact name="Ended">{run.ended_at === null ? '—' : exactTime(run.ended_at, zone)}</Fact>
            <Fact name="Taken in">{exactTime(run.created_at, zone)}</Fact>
            <Fact name="Position in the log">{count(run.position)}</Fact>
            {run.session_id !== null && (
              <Fact name="Session">
                <Link to="/runs" search={{ session: [run.session_id] }} onClick={close} className="text-accent underline">
                  {run.session_id}
                </Link>
              </Fact>
            )}
            {run.trace_id !== null && <Fact name="Trace">{run.trace_id}</Fact>}
            {run.parent_run_id !== null && (
              <Fact name="Started by">
                <Link to="/runs/$runId" params={{ runId: run.parent_run_id }} onClick={close} className="text-accent underline">
                  {run.parent_run_id}
                </Link>
              </Fact>
            )}
            <Fact name="Sub-agents">
              <Link to="/runs" search={{ parent: [run.run_id] }} onClick={close} className="text-accent underline">
                runs that it started
              </Link>
            </Fact>
            <Fact name="Values removed for privacy">{count(run.removed_count)}</Fact>
          </dl>
          <h3 className="text-13 font-semibold">Metadata</h3>
          <Facts facts={run.metadata} />
        </div>
      )}
    </Popover>
  );
}

function RunFigures({ run, latency, timeline }: { run: Run; latency: Latency; timeline: Timeline }) {
  const { data } = latency;
  /** A number of the server's, or its place. */
  const told = (value: (data: RunLatency) => ReactNode) =>
    data === undefined ? latency.missing ? '—' : <Skeleton className="my-1 h-3 w-14" /> : value(data);
  const attention = run.quality_signals.filter(({ tone }) => tone === 'attention').length;
  return (
    <Figures label="The run in numbers">
      <Figure name="Duration" detail={run.status === 'running' ? 'so far' : undefined}>
        {duration(run.duration_ms ?? timeline.span.end)}
      </Figure>
      <Figure name="Steps">{count(run.steps.length)}</Figure>
      <Figure name="Retries" detail={data === undefined || data.retries.operations === 0 ? undefined : `in ${counted(data.retries.operations, 'group')}`}>
        {told(({ retries }) => count(retries.attempts - retries.operations))}
      </Figure>
      <Figure name="p95 step">{told(({ step_latency_ms }) => duration(step_latency_ms.p95))}</Figure>
      <Figure name="Idle / back-off" detail={data === undefined ? undefined : `/ ${duration(data.retries.backoff_ms)}`}>
        {told(({ idle }) => duration(idle.before_first_step_ms + idle.between_steps_ms + (idle.after_last_step_ms ?? 0)))}
      </Figure>
      <Figure name="Decisions">{count(run.decisions.length)}</Figure>
      <Figure name="Signals" detail={attention === 0 ? undefined : `${count(attention)} attention`}>
        {count(run.quality_signals.length)}
      </Figure>
    </Figures>
  );
}

function Banner({ run, failure, row, onJump }: { run: Run; failure: Run['failures'][number]; row: Row | undefined; onJump: () => void }) {
  const failed = run.status === 'failure';
  const more = run.failures.length - 1;
  return (
    <div
      role="note"
      aria-label={failed ? 'Failure' : 'Recovered from'}
      className={`flex shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-y px-5 py-1 ${failed ? 'border-failure/25 bg-failure-soft' : 'border-partial/25 bg-partial-soft'}`}
    >
      <strong className={`text-13 font-semibold ${failed ? 'text-failure' : 'text-partial'}`}>
        {failed ? '✕' : '◐ recovered from'} {failure.failure_type}/{failure.failure_code}
      </strong>
      <span className="min-w-0 text-13 text-ink-2">
        {row === undefined ? (
          <>of the run as a whole: {failure.message}</>
        ) : (
          <>
            at step #{row.step.seq} <span className="font-mono text-12">{row.step.name}</span>
            {row.step.attempts_total > 1 && `, attempt ${row.step.attempt} of ${row.step.attempts_total}`}, +{duration(Math.max(0, row.end))} into the run
          </>
        )}
        {more > 0 && `, and ${counted(more, 'failure')} more`}
      </span>
      {row !== undefined && (
        <Button kind={failed ? 'danger' : 'plain'} small className="ml-auto" onClick={onJump} aria-keyshortcuts="f">
          Jump to failure <span className="font-mono text-11">F</span>
        </Button>
      )}
    </div>
  );
}

function TypeChips({
  timeline,
  latency,
  types,
  onChange,
}: {
  timeline: Timeline;
  latency: Latency;
  types: RunSearch['types'];
  onChange: (types: RunSearch['types']) => void;
}) {
  const known = useMemo(() => {
    const found = new Set(timeline.rows.map(({ step }) => step.step_type));
    return STEP_TYPES.filter((type) => found.has(type));
  }, [timeline]);
  const set = types ?? [];
  return (
    <div role="group" aria-label="Step types" className="flex flex-wrap gap-1.5">
      {known.map((type) => {
        const on = set.includes(type);
        return (
          <ToggleChip
            key={type}
            on={on}
            onToggle={() => {
              const next = on ? set.filter((one) => one !== type) : [...set, type];
              onChange(next.length === 0 ? undefined : next);
            }}
          >
            <StepMark type={type} />
            <span className="max-xl:sr-only">{type}</span>
            {!latency.missing && (
              <span className="min-w-[2ch] text-ink-3">{latency.data !== undefined && count(latency.data.by_step_type.find(({ step_type }) => step_type === type)?.steps)}</span>
            )}
          </ToggleChip>
        );
      })}
    </div>
  );
}

function Legend() {
  return (
    <footer className="flex h-6 shrink-0 items-center gap-4 overflow-hidden border-t border-line bg-panel px-5 text-11 whitespace-nowrap text-ink-2 max-md:hidden">
      {STEP_TYPES.map((type) => (
        <span key={type} className="inline-flex items-center gap-1.5">
          <span aria-hidden="true" className="inline-block h-1.5 w-3.5 rounded-sm" style={{ background: STEP_COLOR[type] }} />
          {type}
        </span>
      ))}
      <span>▨ failed attempt</span>
      <span>◆ decision</span>
      <span>▲▼ signal</span>
      <span>┄ back-off</span>
      <span className="ml-auto font-mono text-ink-3 max-xl:hidden">J/K step · F failure · N/P failed · / filter · A whole run · ? keys</span>
    </footer>
  );
}
