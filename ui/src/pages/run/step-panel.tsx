/** All about one step. */

import { Link as LinkIcon, X } from 'lucide-react';
import { Link } from '@tanstack/react-router';

import type { Decision, Run, Signal } from '../../api/types.ts';
import { useZone } from '../../app/range.tsx';
import { count, duration, exactTime, percent } from '../../format/index.ts';
import { StepMark } from '../../parts/marks.tsx';
import { isSlow, type Row, type Timeline } from '../../timeline/rows.ts';
import { Badge } from '../../ui/badge.tsx';
import { IconButton } from '../../ui/button.tsx';
import { cx } from '../../ui/class.ts';
import { useCopy } from '../../ui/copy.tsx';
import { Tabs } from '../../ui/field.tsx';

type Tab = 'details' | 'metadata' | 'json';

interface StepPanelProps {
  run: Run;
  timeline: Timeline;
  row: Row;
  slowMs: number | null | undefined;
  tab: Tab;
  onTab: (tab: Tab) => void;
  onSelect: (row: Row) => void;
  onClose: () => void;
}

const TABS: readonly { value: Tab; label: string }[] = [
  { value: 'details', label: 'Details' },
  { value: 'metadata', label: 'Metadata' },
  { value: 'json', label: 'JSON' },
];

export function StepPanel({ run, timeline, row, slowMs, tab, onTab, onSelect, onClose }: StepPanelProps) {
  const { step } = row;
  const { state, copy } = useCopy();
  const attempt = step.attempts_total > 1 ? ` · attempt ${step.attempt} of ${step.attempts_total}` : '';
  return (
    <aside
      aria-label={`Step ${step.seq}: ${step.name}`}
      className="scroll-quietly flex min-h-0 w-full shrink-0 flex-col overflow-y-auto border-l border-line bg-panel max-md:fixed max-md:inset-0 max-md:z-20 md:w-[372px] md:max-lg:absolute md:max-lg:inset-y-0 md:max-lg:right-0 md:max-lg:z-20"
    >
      <header className="flex items-start gap-2 px-4 pt-3 pb-3">
        <StepMark type={step.step_type} large />
        <div className="min-w-0 grow">
          <h2 className="text-14 leading-5 font-semibold break-words">{step.name}</h2>
          <p className="text-12 text-ink-3">
            Step #{step.seq} · {count(row.index + 1)} of {count(timeline.rows.length)} · {step.step_type}
            {attempt}
          </p>
        </div>
        <IconButton
          label={state === 'copied' ? 'Copied' : 'Copy a link to this step'}
          icon={<LinkIcon size={14} />}
          onClick={() => copy(location.href)}
        />
        <IconButton label="Close the step" icon={<X size={16} />} onClick={onClose} />
      </header>
      {row.failures.map((failure) => (
        <div key={failure.failure_id} role="note" className="mx-3 mb-3 rounded-lg border border-failure/60 bg-failure-soft px-3 py-2.5">
          <p className="text-13 font-semibold text-failure">
            ✕ {failure.failure_type} / {failure.failure_code}
          </p>
          <p className="text-13 break-words text-ink-2">{failure.message}</p>
        </div>
      ))}
      {row.skew !== undefined && (
        <p className="mx-3 mb-3 rounded-lg border border-partial/60 bg-partial-soft px-3 py-1.5 text-12 text-partial">◐ Clocks differ: {row.skew}</p>
      )}
      <div className="px-4">
        <Tabs label="About the step" id="step-tab" value={tab} options={TABS} onChange={onTab} />
      </div>
      <div id="step-tab" role="tabpanel" aria-labelledby={`step-tab-${tab}`} tabIndex={0} className="flex flex-col gap-5 px-4 pt-3 pb-6">
        {tab === 'details' && <Details run={run} timeline={timeline} row={row} slowMs={slowMs} onSelect={onSelect} />}
        {tab === 'metadata' && <Facts facts={step.metadata} />}
        {tab === 'json' && (
          <pre className="font-mono text-11 leading-4 break-words whitespace-pre-wrap">
            {JSON.stringify({ step, failures: row.failures, decisions: row.decisions, quality_signals: row.signals }, null, 2)}
          </pre>
        )}
      </div>
    </aside>
  );
}

/** Facts as names and values; of nested ones the JSON. */
export function Facts({ facts }: { facts: Record<string, unknown> }) {
  const entries = Object.entries(facts);
  if (entries.length === 0) return <p className="text-13 text-ink-3">There is no metadata.</p>;
  return (
    <dl>
      {entries.map(([name, value]) => (
        <Fact key={name} name={name}>
          {typeof value === 'string' ? value : JSON.stringify(value)}
        </Fact>
      ))}
    </dl>
  );
}

export function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="flex min-h-[25px] items-baseline gap-3 border-b border-line py-0.5 last:border-0">
      <dt className="shrink-0 text-13 text-ink-2">{name}</dt>
      <dd className="ml-auto min-w-0 text-right font-mono text-12 break-words">{children}</dd>
    </div>
  );
}

function Details({ run, timeline, row, slowMs, onSelect }: Pick<StepPanelProps, 'run' | 'timeline' | 'row' | 'slowMs' | 'onSelect'>) {
  const zone = useZone();
  const { step } = row;
  const group = step.retry_group === null ? undefined : timeline.groups.get(step.retry_group);
  const parent = step.parent_step_id === null ? undefined : timeline.byId.get(step.parent_step_id);
  const share = run.duration_ms === null || run.duration_ms === 0 ? undefined : (100 * step.latency_ms) / run.duration_ms;
  return (
    <>
      <dl>
        <Fact name="Latency">
          {duration(step.latency_ms)}
          {isSlow(row, slowMs) && <span className="text-ink-3"> (≥ p95 {duration(slowMs)})</span>}
        </Fact>
        <Fact name="Start offset">
          {row.start < 0 ? '' : '+'}
          {duration(row.start)}
        </Fact>
        <Fact name="Started">{exactTime(step.started_at, zone)}</Fact>
        {share !== undefined && <Fact name="Share of run">{percent(share)}</Fact>}
        {row.backoff !== undefined && <Fact name="Back-off before">{duration(row.backoff)}</Fact>}
        {row.idle > 0 && <Fact name="Idle before">{duration(row.idle)}</Fact>}
        <Fact name="Status">{step.status}</Fact>
        {step.error_code !== null && <Fact name="Error code">{step.error_code}</Fact>}
        {parent !== undefined && (
          <Fact name="Under">
            <button type="button" className="text-accent underline" onClick={() => onSelect(parent)}>
              #{parent.step.seq} {parent.step.name}
            </button>
          </Fact>
        )}
      </dl>
      {group !== undefined && group.length > 1 && <Attempts group={group} row={row} onSelect={onSelect} />}
      {row.decisions.length > 0 && (
        <section aria-label="Decisions">
          <h3 className="mb-2 text-13 font-semibold">◆ Decisions</h3>
          <ul className="flex flex-col gap-2">
            {row.decisions.map((decision) => (
              <DecisionCard key={decision.decision_id} decision={decision} />
            ))}
          </ul>
        </section>
      )}
      {row.signals.length > 0 && (
        <section aria-label="Quality signals">
          <h3 className="mb-1 text-13 font-semibold">Quality signals</h3>
          <SignalList signals={row.signals} />
        </section>
      )}
      <p className="text-12">
        <Link to="/runs" search={{ step: [step.name] }} className="text-accent underline">
          Runs with this step
        </Link>
      </p>
    </>
  );
}

/** The attempts of an operation on an axis of their own. */
function Attempts({ group, row, onSelect }: { group: readonly Row[]; row: Row; onSelect: (row: Row) => void }) {
  const start = Math.min(...group.map((one) => one.start));
  const end = Math.max(...group.map((one) => one.end));
  const part = (time: number) => (100 * (time - start)) / Math.max(1e-9, end - start);
  return (
    <section aria-label="Attempts">
      <h3 className="mb-1 text-13 font-semibold">
        Attempts ({group.length}) · {duration(end - start)} in total
      </h3>
      <ol>
        {group.map((one) => {
          const code = one.step.error_code ?? (one.failed ? 'failed' : 'ok');
          const color = one.failures.length > 0 && one.failed ? 'var(--failed-bar)' : `var(--${one.step.step_type})`;
          const id = `attempt-${one.index}`;
          const status = one.step.metadata.http_status;
          return (
            <li key={one.step.step_id}>
              <button
                type="button"
                aria-current={one === row ? 'true' : undefined}
                onClick={() => onSelect(one)}
                className={cx('flex h-6.5 w-full items-center gap-2 rounded-sm px-1 text-left', one === row ? 'bg-selection' : 'hover:bg-bg')}
              >
                <span className="w-4 font-mono text-12">{one.step.attempt}</span>
                <svg width="100%" height="12" aria-hidden="true" className="min-w-0 grow">
                  <defs>
                    <pattern id={id} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
                      <rect width="5" height="5" fill={color} />
                      {one.failed && <rect width="1.5" height="5" fill="var(--bg)" opacity="0.7" />}
                    </pattern>
                  </defs>
                  <rect width="100%" height="10" y="1" rx="2" fill="var(--line)" opacity="0.5" />
                  <rect
                    x={`${part(one.start)}%`}
                    width={`${Math.max(1.5, part(one.end) - part(one.start))}%`}
                    height="10"
                    y="1"
                    rx="2"
                    fill={`url(#${id})`}
                  />
                </svg>
                <span className="w-14 shrink-0 text-right font-mono text-12">{duration(one.step.latency_ms)}</span>
                <span className={cx('w-14 shrink-0 truncate text-right font-mono text-12', one.failed ? 'text-failure' : 'text-success')} title={code}>
                  {typeof status === 'number' ? status : code}
                </span>
              </button>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

export function DecisionCard({ decision }: { decision: Decision }) {
  const { candidates, ...facts } = decision.metadata;
  const all = Array.isArray(candidates) ? (candidates as unknown[]).map(String) : [];
  const options = all.includes(decision.selected) ? all : [decision.selected, ...all];
  return (
    <li className="rounded-lg border border-line bg-bg px-2.5 py-2">
      <div className="flex items-baseline justify-between">
        <span className="text-12 text-ink-2">{decision.decision_type}</span>
        <span className="font-mono text-12">{decision.confidence === null ? '—' : decision.confidence.toFixed(2)}</span>
      </div>
      {decision.confidence !== null && (
        <svg width="100%" height="3" aria-hidden="true" className="my-1 block">
          <rect width="100%" height="3" rx="1" fill="var(--line)" />
          <rect width={`${100 * decision.confidence}%`} height="3" rx="1" fill="var(--accent)" />
        </svg>
      )}
      <ul className="text-13">
        {options.map((option) => {
          const on = option === decision.selected;
          return (
            <li key={option} className={cx('flex gap-1.5 break-words', on ? 'font-semibold' : 'text-ink-2')}>
              <span aria-hidden="true">{on ? '●' : '○'}</span>
              {option}
              {on && <span className="sr-only">(selected)</span>}
            </li>
          );
        })}
      </ul>
      <p className="mt-1 font-mono text-11 text-ink-2">reason: {decision.reason_code}</p>
      {Object.keys(facts).length > 0 && <Facts facts={facts} />}
    </li>
  );
}

export function SignalList({ signals }: { signals: readonly Signal[] }) {
  return (
    <ul>
      {signals.map((signal) => (
        <li key={signal.signal_id} className="flex min-h-[25px] items-center gap-1.5 border-b border-line text-13 last:border-0">
          <span aria-hidden="true" className={signal.tone === 'attention' ? 'text-failure' : 'text-success'}>
            {signal.tone === 'attention' ? '▼' : '▲'}
          </span>
          <span className="sr-only">{signal.tone === 'attention' ? 'asks for attention:' : ''}</span>
          <span className="min-w-0 truncate">
            {signal.signal_type} <span className="text-ink-2">/ {signal.signal_code}</span>
          </span>
          {!signal.value && <Badge>false</Badge>}
          {signal.weight !== null && <span className="ml-auto font-mono text-11 text-ink-3">w {signal.weight}</span>}
        </li>
      ))}
    </ul>
  );
}
