/** A run beside the list: enough to decide whether to open it. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ArrowRight, X } from 'lucide-react';

import { runLatencyQuery, runQuery } from '../../api/queries.ts';
import { useZone } from '../../app/range.tsx';
import { count, counted, dateTime, duration, percent, zoneLabel } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { StatusBadge, STEP_COLOR, StepMark } from '../../parts/marks.tsx';
import { Badge } from '../../ui/badge.tsx';
import { buttonClass, IconButton } from '../../ui/button.tsx';
import { CopyIcon } from '../../ui/copy.tsx';
import { Skeleton } from '../../ui/state.tsx';
import { Fact, SignalList } from '../run/step-panel.tsx';

export function Peek({ runId, onClose }: { runId: string; onClose: () => void }) {
  const run = useQuery(runQuery(runId));
  const latency = useQuery(runLatencyQuery(runId));
  const zone = useZone();
  return (
    <aside
      aria-label="Run in short"
      className="scroll-quietly flex min-h-0 w-full shrink-0 flex-col overflow-y-auto border-l border-line bg-panel max-md:fixed max-md:inset-0 max-md:z-20 md:w-[372px] md:max-lg:absolute md:max-lg:inset-y-0 md:max-lg:right-0 md:max-lg:z-20"
    >
      <header className="flex items-center gap-1 px-4 pt-2">
        <span className="min-w-0 truncate font-mono text-11 text-ink-2">{runId}</span>
        <CopyIcon text={runId} label="Copy the run id" />
        <IconButton label="Close" icon={<X size={16} />} className="ml-auto" onClick={onClose} />
      </header>
      <Answer
        query={run}
        loading={
          <div className="flex flex-col gap-3 p-4">
            <Skeleton className="h-5 w-40" />
            <Skeleton className="h-20 w-full" />
            <Skeleton className="h-40 w-full" />
          </div>
        }
      >
        {(run) => (
          <div className="flex flex-col gap-4 px-4 pb-6">
            <div className="flex flex-wrap items-center gap-2">
              <h2 className="text-16 font-semibold break-all">{run.agent_id}</h2>
              <Badge outline mono>
                {run.agent_version}
              </Badge>
              <Badge outline>{run.environment}</Badge>
              <StatusBadge status={run.status} />
            </div>
            <Link to="/runs/$runId" params={{ runId }} search={{}} className={buttonClass('primary')}>
              Open run <ArrowRight size={14} aria-hidden="true" />
            </Link>
            {run.failures.map((failure) => {
              const step = run.steps.find(({ step_id }) => step_id === failure.step_id);
              return (
                <div key={failure.failure_id} className="rounded-lg border border-failure/60 bg-failure-soft px-3 py-2">
                  <p className="text-13 font-semibold text-failure">
                    ✕ {failure.failure_type} / {failure.failure_code}
                  </p>
                  <p className="text-13 break-words text-ink-2">{failure.message}</p>
                  {step !== undefined && (
                    <Link to="/runs/$runId" params={{ runId }} search={{ step: step.seq }} className="text-12 text-failure underline">
                      step #{step.seq} {step.name}
                      {step.attempts_total > 1 && `, attempt ${step.attempt} of ${step.attempts_total}`}
                    </Link>
                  )}
                </div>
              );
            })}
            <dl>
              <Fact name="Started">
                {dateTime(run.started_at, zone)} {zoneLabel(new Date(run.started_at), zone)}
              </Fact>
              <Fact name="Duration">{duration(run.duration_ms)}</Fact>
              <Fact name="Steps">{count(run.steps.length)}</Fact>
              {latency.data !== undefined && (
                <>
                  <Fact name="Retries">
                    {count(latency.data.retries.attempts - latency.data.retries.operations)} in {counted(latency.data.retries.operations, 'group')}
                  </Fact>
                  <Fact name="Lost to retries">{duration(latency.data.retries.waste_ms + latency.data.retries.backoff_ms)}</Fact>
                  <Fact name="Idle between steps">{duration(latency.data.idle.between_steps_ms)}</Fact>
                </>
              )}
              <Fact name="Decisions">{count(run.decisions.length)}</Fact>
              {run.session_id !== null && (
                <Fact name="Session">
                  <Link to="/runs" search={{ session: [run.session_id] }} className="text-accent underline">
                    {run.session_id}
                  </Link>
                </Fact>
              )}
            </dl>
            {latency.data !== undefined && latency.data.by_step.length > 0 && (
              <section aria-label="Where the time went">
                <h3 className="mb-1 text-13 font-semibold">Where the time went</h3>
                <ul>
                  {latency.data.by_step.slice(0, 8).map((step) => (
                    <li key={`${step.step_type} ${step.name}`} className="py-1">
                      <div className="flex items-center gap-2 text-13">
                        <StepMark type={step.step_type} />
                        <span className="min-w-0 grow truncate">{step.name}</span>
                        <span className="font-mono text-12">{duration(step.latency_ms)}</span>
                        <span className="w-12 text-right font-mono text-11 text-ink-3">{percent(step.share)}</span>
                      </div>
                      <svg width="100%" height="3" aria-hidden="true" className="mt-0.5 block">
                        <rect width="100%" height="3" rx="1" fill="var(--line)" />
                        <rect width={`${step.share}%`} height="3" rx="1" fill={STEP_COLOR[step.step_type]} />
                      </svg>
                    </li>
                  ))}
                </ul>
              </section>
            )}
            {run.quality_signals.length > 0 && (
              <section aria-label="Quality signals">
                <h3 className="mb-1 text-13 font-semibold">Quality signals ({count(run.quality_signals.length)})</h3>
                <SignalList signals={run.quality_signals.slice(0, 8)} />
              </section>
            )}
          </div>
        )}
      </Answer>
    </aside>
  );
}
