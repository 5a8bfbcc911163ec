/** What the two runs are, and their figures. */

import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import type { Failure, Run } from '../../api/types.ts';
import { useZone } from '../../app/range.tsx';
import { count, dateTime, duration } from '../../format/index.ts';
import { StatusWord } from '../../parts/marks.tsx';
import { cx } from '../../ui/class.ts';
import { Side } from './side.tsx';

interface Fact {
  title: string;
  text: (run: Run) => string;
  /** The number of which the difference is told. */
  number?: (run: Run) => number | null;
  format?: (difference: number) => string;
  mono?: boolean;
}

const signedCount = (by: number) => (by === 0 ? '0' : by > 0 ? `+${count(by)}` : `−${count(-by)}`);
const signedDuration = (by: number) => (by > 0 ? `+${duration(by)}` : duration(by));

const retries = ({ steps }: Run) => steps.filter(({ attempt }) => attempt > 1).length;
const attention = ({ quality_signals }: Run) => quality_signals.filter(({ tone }) => tone === 'attention').length;

const NUMBERS: readonly Fact[] = [
  { title: 'Duration', text: ({ duration_ms }) => duration(duration_ms), number: ({ duration_ms }) => duration_ms, format: signedDuration },
  { title: 'Steps', text: ({ steps }) => count(steps.length), number: ({ steps }) => steps.length },
  { title: 'Retries', text: (run) => count(retries(run)), number: retries },
  { title: 'Decisions', text: ({ decisions }) => count(decisions.length), number: ({ decisions }) => decisions.length },
  { title: 'Signals', text: ({ quality_signals }) => count(quality_signals.length), number: ({ quality_signals }) => quality_signals.length },
  { title: 'Attention', text: (run) => count(attention(run)), number: attention },
];

export function Heads({ a, b }: { a: Run; b: Run }) {
  const zone = useZone();
  const words: readonly Fact[] = [
    { title: 'Version', text: ({ agent_version }) => agent_version, mono: true },
    { title: 'Environment', text: ({ environment }) => environment },
    { title: 'Started', text: ({ started_at }) => dateTime(started_at, zone), mono: true },
  ];
  return (
    <div className="shrink-0">
      <div className="scroll-quietly overflow-x-auto px-5 pb-2" role="region" aria-label="Both runs" tabIndex={0}>
        <table className="w-full border-collapse text-13 whitespace-nowrap">
          <thead>
            <tr className="text-12 text-ink-3">
              <th scope="col" className="h-6 pr-4 text-left font-normal">
                Run
              </th>
              <th scope="col" className="pr-4 text-left font-normal">
                Status
              </th>
              {words.map(({ title }) => (
                <th key={title} scope="col" className="pr-4 text-left font-normal">
                  {title}
                </th>
              ))}
              {NUMBERS.map(({ title }) => (
                <th key={title} scope="col" className="pl-4 text-right font-normal">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {([['A', a, b], ['B', b, a]] as const).map(([side, run, other]) => (
              <tr key={side} className="border-t border-line">
                <th scope="row" className="h-(--row) pr-4 text-left font-normal">
                  <span className="inline-flex items-center gap-2">
                    <Side side={side} />
                    <span className={cx(run.agent_id !== other.agent_id && 'font-semibold')}>{run.agent_id}</span>
                    <Link to="/runs/$runId" params={{ runId: run.run_id }} className="font-mono text-12 text-accent hover:underline">
                      <span aria-hidden="true" className="xl:hidden">
                        …{run.run_id.slice(-12)}
                      </span>
                      <span className="max-xl:sr-only">{run.run_id}</span>
                    </Link>
                  </span>
                </th>
                <td className="pr-4">
                  <StatusWord status={run.status} />
                </td>
                {words.map(({ title, text, mono }) => (
                  <td key={title} className={cx('pr-4', mono === true && 'font-mono text-12', title !== 'Started' && text(run) !== text(other) ? 'font-semibold' : 'text-ink-2')}>
                    {text(run)}
                  </td>
                ))}
                {NUMBERS.map(({ title, text }) => (
                  <td key={title} className="pl-4 text-right font-mono text-12">
                    {text(run)}
                  </td>
                ))}
              </tr>
            ))}
            <tr className="border-t border-line text-ink-2">
              <th scope="row" className="h-(--row) text-left font-normal">
                <span className="inline-flex items-center gap-1.5">
                  <Side side="B" /> less <Side side="A" />
                </span>
              </th>
              <td colSpan={words.length + 1} />
              {NUMBERS.map(({ title, number, format = signedCount }) => {
                const [from, to] = [number?.(a) ?? null, number?.(b) ?? null];
                return (
                  <td key={title} className="pl-4 text-right font-mono text-12">
                    {from === null || to === null ? '—' : format(to - from)}
                  </td>
                );
              })}
            </tr>
          </tbody>
        </table>
      </div>
      <FailureLines side="A" run={a} />
      <FailureLines side="B" run={b} />
    </div>
  );
}

/** So many failures of a run have a line; a run with more says how many. */
const MOST_LINES = 2;

function FailureLines({ side, run }: { side: 'A' | 'B'; run: Run }) {
  if (run.failures.length === 0) return null;
  const rest = run.failures.length - MOST_LINES;
  const recovered = run.status !== 'failure';
  const line = (key: string, children: ReactNode) => (
    <p
      key={key}
      className={cx(
        'flex min-h-8 flex-wrap items-center gap-x-2.5 border-t px-5 py-1 text-13',
        recovered ? 'border-partial/30 bg-partial-soft' : 'border-failure/30 bg-failure-soft',
      )}
    >
      <Side side={side} />
      {children}
    </p>
  );
  return (
    <>
      {run.failures.slice(0, MOST_LINES).map((failure) => line(failure.failure_id, <FailureText run={run} failure={failure} />))}
      {rest > 0 && line('rest', <span className="text-ink-2">and {count(rest)} more</span>)}
    </>
  );
}

function FailureText({ run, failure }: { run: Run; failure: Failure }) {
  const step = run.steps.find(({ step_id }) => step_id === failure.step_id);
  return (
    <>
      <strong className={cx('font-semibold', run.status === 'failure' ? 'text-failure' : 'text-partial')}>
        {run.status === 'failure' ? '✕' : '◐'} {failure.failure_type}/{failure.failure_code}
      </strong>
      <span className="text-ink-2">
        {run.status === 'failure' ? '' : 'recorded in a run that did not fail, '}
        {step === undefined ? (
          'at no step'
        ) : (
          <>
            at step #{step.seq}{' '}
            <Link to="/runs/$runId" params={{ runId: run.run_id }} search={{ step: step.seq }} className="font-mono text-12 text-ink underline">
              {step.name}
            </Link>
            {step.attempts_total > 1 && `, attempt ${step.attempt} of ${step.attempts_total}`}
          </>
        )}
      </span>
      <span className="min-w-0 truncate text-ink-2">{failure.message}</span>
    </>
  );
}
