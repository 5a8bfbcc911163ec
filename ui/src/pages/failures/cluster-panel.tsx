/** One cluster: how its runs came to fail, when, in which versions, and the newest of them. */

import { useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { facetsQuery, histogramQuery, runQuery, versionsQuery } from '../../api/queries.ts';
import type { Cluster, Run } from '../../api/types.ts';
import { useNow } from '../../app/clock.ts';
import { brushed, useRange, useSetRange } from '../../app/range.tsx';
import { ShareBar } from '../../charts/share-bar.tsx';
import { STATUS_SERIES } from '../../charts/series.tsx';
import { StackedBars } from '../../charts/stacked-bars.tsx';
import { ago, clock, count, counted, duration, percent, shareText } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { clusterTitle, stepSearch } from '../../parts/cluster-words.ts';
import { FailureName } from '../../parts/cluster.tsx';
import { StepMark } from '../../parts/marks.tsx';
import { statusBars } from '../../parts/series-of-runs.ts';
import { Facts, Side, SidePart } from '../../parts/side.tsx';
import { buttonClass } from '../../ui/button.tsx';
import { LINK } from '../../ui/class.ts';
import { Key } from '../../ui/field.tsx';
import { Skeleton } from '../../ui/state.tsx';
import { apiFilter, type FilterSearch } from '../../url/filter.ts';

/** The first failure of a run, and the place of its step. */
function firstFailure(run: Run): { message: string | undefined; seq: number | undefined } {
  const seqOf = (stepId: string | null) => run.steps.find(({ step_id }) => step_id === stepId)?.seq;
  const failures = run.failures.map(({ message, step_id }) => ({ message, seq: seqOf(step_id) }));
  failures.sort((a, b) => (a.seq ?? Infinity) - (b.seq ?? Infinity));
  return failures[0] ?? { message: undefined, seq: run.steps.findLast(({ status }) => status === 'failed')?.seq };
}

export function ClusterPanel({ cluster, filters, onClose }: { cluster: Cluster; filters: FilterSearch; onClose: () => void }) {
  const range = useRange();
  const setRange = useSetRange();
  const now = useNow();
  const own: FilterSearch = { ...filters, cluster: [cluster.cluster] };
  const histogram = useQuery(histogramQuery({ ...apiFilter(own, range), buckets: 40, time_zone: range.time_zone }));
  const { cause } = cluster;
  const agent = cause?.agent_id;
  const step = cause?.step ?? undefined;
  const versions = useQuery({ ...versionsQuery(agent ?? '', apiFilter(filters, range)), enabled: agent !== undefined });
  const environments = useQuery(facetsQuery(apiFilter(own, range), ['environment'], 6));
  const examples = useQueries({ queries: cluster.examples.map((runId) => runQuery(runId)) });
  const [newest] = cluster.examples;
  return (
    <Side
      label={clusterTitle(cluster)}
      title={
        <>
          <FailureName cause={cause} />
          {step !== undefined && <span> at {step.name}</span>}
        </>
      }
      subtitle={
        agent !== undefined && (
          <Link to="/agents/$agentId" params={{ agentId: agent }} className="hover:underline">
            {agent}
          </Link>
        )
      }
      onClose={onClose}
    >
      <div className="mb-4 flex flex-wrap gap-2">
        {newest !== undefined && (
          <Link
            to="/runs/$runId"
            params={{ runId: newest }}
            search={stepSearch(cause)}
            className={buttonClass('danger')}
          >
            Open the newest run <Key>Enter</Key>
          </Link>
        )}
        <Link to="/runs" search={own} className={buttonClass()}>
          All {counted(cluster.runs, 'run')}
        </Link>
      </div>
      <SidePart title="In this time">
        <Facts
          facts={[
            ['Runs', count(cluster.runs)],
            ['Of them failed', count(cluster.failed_runs)],
            ['Share of all runs', percent(cluster.share)],
            ['First', `${clock(cluster.first_seen, range.zone, now)} (${ago(cluster.first_seen, now)})`],
            ['Last', `${clock(cluster.last_seen, range.zone, now)} (${ago(cluster.last_seen, now)})`],
          ]}
        />
      </SidePart>
      <SidePart title="Over time" aside="drag to zoom in">
        <Answer query={histogram} loading={<Skeleton className="h-24 w-full" />}>
          {(data) => (
            <StackedBars
              label="Runs of this cluster over time"
              series={STATUS_SERIES}
              bars={statusBars(data)}
              zone={range.zone}
              height={96}
              onBrush={(start, end) => setRange(brushed(start, end))}
            />
          )}
        </Answer>
      </SidePart>
      {cause !== null && (
        <SidePart title="The way there" aside={cause.path.length === 6 ? 'the last six operations' : undefined}>
          <ol className="rounded-md border border-line bg-bg py-1">
            {cause.path.map(({ step_type, name }, at) => (
              <li key={at} className="flex h-6 items-center gap-2 px-3">
                <StepMark type={step_type} />
                <span className="truncate">{name}</span>
              </li>
            ))}
            <li className="flex min-h-6 items-center gap-2 bg-failure-soft px-3 py-0.5">
              {cause.step === null ? (
                <span className="text-ink-2">The run itself</span>
              ) : (
                <>
                  <StepMark type={cause.step.step_type} />
                  <span className="truncate font-semibold">{cause.step.name}</span>
                </>
              )}
              <span className="ml-auto">
                <FailureName cause={cause} />
              </span>
            </li>
            {cause.spread_to.map(({ failure_type, failure_code, step }, at) => (
              <li key={at} className="flex h-6 items-center gap-2 px-3 text-12 text-ink-2">
                <span aria-hidden="true">└</span>
                <span className="truncate">then {step ?? 'the run'}</span>
                <span className="ml-auto font-mono text-failure">
                  {failure_type}/{failure_code}
                </span>
              </li>
            ))}
          </ol>
        </SidePart>
      )}
      <SidePart title="Versions" aside="share of the version's runs">
        <Distribution
          rows={cluster.versions.map(({ agent_version, runs }) => {
            const all = versions.data?.versions.find((one) => one.agent_version === agent_version)?.runs;
            return {
              name: agent_version,
              runs,
              share: runs / cluster.runs,
              detail: all === undefined ? '' : shareText(runs, all),
              filter: { ...own, version: [agent_version] },
            };
          })}
        />
      </SidePart>
      <SidePart title="Environments" aside="share of the cluster">
        <Answer query={environments} loading={<Skeleton className="h-6 w-full" />}>
          {({ facets }) => (
            <Distribution
              rows={(facets[0]?.values ?? []).map(({ value, runs }) => ({
                name: value,
                runs,
                share: runs / cluster.runs,
                detail: shareText(runs, cluster.runs),
                filter: { ...own, env: [value] },
              }))}
            />
          )}
        </Answer>
      </SidePart>
      <SidePart title="Newest runs">
        <ul>
          {cluster.examples.map((runId, at) => {
            const run = examples[at]?.data;
            const failure = run === undefined ? undefined : firstFailure(run);
            return (
              <li key={runId} className="border-b border-line py-1 last:border-0">
                <div className="flex items-center gap-2">
                  <Link
                    to="/runs/$runId"
                    params={{ runId }}
                    search={failure?.seq === undefined ? {} : { step: failure.seq }}
                    className={`${LINK} font-mono text-12`}
                    aria-label={`Run ${runId}${failure?.seq === undefined ? '' : `, failing step ${failure.seq}`}`}
                  >
                    {runId.slice(0, 8)}
                    {failure?.seq === undefined ? '' : ` #${failure.seq}`}
                  </Link>
                  {run !== undefined && (
                    <>
                      <span className="font-mono text-12 text-ink-2">{run.agent_version}</span>
                      <span className="ml-auto font-mono text-12 text-ink-3">
                        {duration(run.duration_ms)} · {ago(run.started_at, now)}
                      </span>
                    </>
                  )}
                </div>
                {failure?.message !== undefined && <p className="truncate text-12 text-ink-2">{failure.message}</p>}
              </li>
            );
          })}
        </ul>
      </SidePart>
    </Side>
  );
}

function Distribution({ rows }: { rows: readonly { name: string; runs: number; share: number; detail: string; filter: FilterSearch }[] }) {
  return (
    <ul>
      {rows.map(({ name, runs, share, detail, filter }) => (
        <li key={name} className="grid h-7 grid-cols-[minmax(0,120px)_1fr_48px_60px] items-center gap-2">
          <Link to="/runs" search={filter} className="truncate hover:underline">
            {name}
          </Link>
          <ShareBar share={share} color="var(--failed-bar)" label={`${count(runs)} runs`} />
          <span className="text-right font-mono text-12">{count(runs)}</span>
          <span className="text-right font-mono text-12 text-ink-3">{detail}</span>
        </li>
      ))}
    </ul>
  );
}
