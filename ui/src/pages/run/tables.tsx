/** The run in other forms than the waterfall: its steps as a table, its decisions and signals, its records in the log. */

import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';

import { runEventsQuery } from '../../api/queries.ts';
import type { Run, RunRecord } from '../../api/types.ts';
import { useRowHeight } from '../../app/preferences.ts';
import { useZone } from '../../app/range.tsx';
import { count, duration, exactTime } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { StepMark } from '../../parts/marks.tsx';
import type { Row, Timeline } from '../../timeline/rows.ts';
import { Badge } from '../../ui/badge.tsx';
import { Empty, SkeletonRows } from '../../ui/state.tsx';
import { VirtualTable, type Column } from '../../ui/table.tsx';
import { DecisionCard, SignalList } from './step-panel.tsx';
import { isSlow } from '../../timeline/rows.ts';

export function StepTable({
  rows,
  selected,
  slowMs,
  onSelect,
}: {
  rows: readonly Row[];
  selected: number | undefined;
  slowMs: number | null | undefined;
  onSelect: (row: Row) => void;
}) {
  const rowHeight = useRowHeight();
  const columns: Column<Row>[] = [
    { id: 'seq', title: '#', width: '56px', align: 'end', mono: true, cell: (row) => row.step.seq },
    { id: 'type', title: 'Type', width: '96px', cell: ({ step }) => <span className="inline-flex items-center gap-2"><StepMark type={step.step_type} /> {step.step_type}</span> },
    {
      id: 'name',
      title: 'Step',
      width: 'minmax(180px, 2fr)',
      cell: (row) => (
        <button type="button" className="block h-6 max-w-full truncate text-left hover:underline" onClick={() => onSelect(row)}>
          {row.step.name}
        </button>
      ),
    },
    { id: 'attempt', title: 'Attempt', width: '76px', align: 'end', mono: true, cell: ({ step }) => (step.attempts_total > 1 ? `${step.attempt}/${step.attempts_total}` : '') },
    {
      id: 'status',
      title: 'Status',
      width: 'minmax(110px, 1fr)',
      cell: (row) =>
        row.failed ? (
          <span className="text-failure">✕ {row.failures[0]?.failure_code ?? row.step.error_code ?? 'failed'}</span>
        ) : row.step.status === 'ok' ? (
          <span className="text-success">✓ ok</span>
        ) : (
          <span className="text-ink-3">{row.step.status}</span>
        ),
    },
    { id: 'start', title: 'Start', width: '96px', align: 'end', mono: true, cell: (row) => `${row.start < 0 ? '' : '+'}${duration(row.start)}` },
    { id: 'latency', title: 'Latency', width: '90px', align: 'end', mono: true, cell: (row) => <span className={isSlow(row, slowMs) ? 'font-bold' : ''}>{duration(row.step.latency_ms)}</span> },
    { id: 'idle', title: 'Waited', width: '90px', align: 'end', mono: true, cell: (row) => (row.backoff ?? row.idle) > 0 ? duration(row.backoff ?? row.idle) : '' },
    { id: 'decisions', title: 'Decisions', heading: '◆', width: '44px', align: 'end', mono: true, cell: (row) => row.decisions.length || '' },
    { id: 'signals', title: 'Signals', heading: '▲▼', width: '44px', align: 'end', mono: true, cell: (row) => row.signals.length || '' },
  ];
  return (
    <VirtualTable
      label="Steps"
      columns={columns}
      rows={rows}
      rowKey={(row) => row.step.step_id}
      rowHeight={rowHeight}
      active={selected}
      onActivate={onSelect}
    />
  );
}

/** All decisions and signals of a run, those of no step as well. */
export function DecisionsView({ run, timeline, onSelect }: { run: Run; timeline: Timeline; onSelect: (row: Row) => void }) {
  const of = (stepId: string | null) => (stepId === null ? undefined : timeline.byId.get(stepId));
  const where = (row: Row | undefined) =>
    row === undefined ? (
      <span className="text-12 text-ink-3">of the run</span>
    ) : (
      <button type="button" className="max-w-full self-start truncate text-left text-12 text-accent underline" onClick={() => onSelect(row)}>
        #{row.step.seq} {row.step.name}
      </button>
    );
  // A run has up to 10,000 of each; so many nobody reads in one go, and each step has its own in its panel.
  const MOST = 100;
  if (run.decisions.length === 0 && run.quality_signals.length === 0) return <Empty title="There are no decisions and no signals in this run" />;
  return (
    <div className="scroll-quietly grid min-h-0 grow gap-5 overflow-y-auto px-5 py-3 lg:grid-cols-2" tabIndex={0} role="region" aria-label="Decisions and signals">
      <section aria-label="Decisions">
        <h2 className="mb-2 text-13 font-semibold">◆ Decisions ({count(run.decisions.length)})</h2>
        <ul className="flex flex-col gap-2">
          {run.decisions.slice(0, MOST).map((decision) => (
            <li key={decision.decision_id} className="flex flex-col gap-0.5">
              {where(of(decision.step_id))}
              <ul>
                <DecisionCard decision={decision} />
              </ul>
            </li>
          ))}
        </ul>
        <More shown={MOST} all={run.decisions.length} />
      </section>
      <section aria-label="Quality signals">
        <h2 className="mb-2 text-13 font-semibold">Quality signals ({count(run.quality_signals.length)})</h2>
        {run.quality_signals.slice(0, MOST).map((signal) => (
          <div key={signal.signal_id}>
            {where(of(signal.step_id))}
            <SignalList signals={[signal]} />
          </div>
        ))}
        <More shown={MOST} all={run.quality_signals.length} />
      </section>
    </div>
  );
}

function More({ shown, all }: { shown: number; all: number }) {
  if (all <= shown) return null;
  return (
    <p className="py-2 text-12 text-ink-3">
      The first {count(shown)} of {count(all)}. Each step has its own in its panel.
    </p>
  );
}

/** What the log holds of the run: its records with their positions, as they were sent. */
export function EventsView({ runId }: { runId: string }) {
  const query = useQuery(runEventsQuery(runId));
  return (
    <Answer query={query} loading={<SkeletonRows rows={16} />}>
      {(records) => <Records records={records} />}
    </Answer>
  );
}

const NOT_DETAILS = new Set(['position', 'time', 'type', 'event_time']);

function Records({ records }: { records: readonly RunRecord[] }) {
  const zone = useZone();
  const [chosen, setChosen] = useState<number>();
  const details = useMemo(
    () => (record: RunRecord) => JSON.stringify(Object.fromEntries(Object.entries(record).filter(([name, value]) => !NOT_DETAILS.has(name) && value !== null))),
    [],
  );
  const record = chosen === undefined ? undefined : records[chosen];
  const rowHeight = useRowHeight();
  const columns: Column<RunRecord>[] = [
    { id: 'position', title: 'Position', width: '100px', align: 'end', mono: true, cell: ({ position }) => position },
    { id: 'time', title: 'Taken in', width: '250px', mono: true, cell: ({ time }) => exactTime(time, zone) },
    { id: 'type', title: 'Type', width: '170px', cell: ({ type }) => <Badge outline>{type}</Badge> },
    { id: 'fields', title: 'Fields', width: 'minmax(240px, 1fr)', mono: true, cell: (one) => <span className="text-ink-2">{details(one)}</span> },
  ];
  return (
    <div className="flex min-h-0 grow max-lg:flex-col">
      <div className="min-h-0 min-w-0 grow">
        <VirtualTable
          label="Records in the log"
          columns={columns}
          rows={records}
          rowKey={({ position }) => String(position)}
          rowHeight={rowHeight}
          active={chosen}
          onActivate={(_, index) => setChosen(index)}
          rowLabel={({ position, type }) => `${position} ${type}`}
        />
      </div>
      {record !== undefined && (
        <pre
          tabIndex={0}
          aria-label={`Record ${record.position}`}
          className="scroll-quietly m-0 shrink-0 overflow-auto border-line bg-panel p-4 font-mono text-11 leading-4 whitespace-pre-wrap max-lg:max-h-[45%] max-lg:border-t lg:w-[372px] lg:border-l"
        >
          {JSON.stringify(record, null, 2)}
        </pre>
      )}
    </div>
  );
}
