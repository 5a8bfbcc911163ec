/** What is observed of the quality of runs: by type and code, over time. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import { signalCodes } from '../api/first.ts';
import { signalsQuery } from '../api/queries.ts';
import type { Signals } from '../api/types.ts';
import { useBefore } from '../app/before.ts';
import { useKeys } from '../app/keys.ts';
import { useRange, type PageRange } from '../app/range.tsx';
import { Lines, Sparkline } from '../charts/lines.tsx';
import { count, counted, pointsChange, shareText } from '../format/index.ts';
import { AggregatePage } from '../parts/aggregate.tsx';
import { ChangeText } from '../parts/change.tsx';
import { ToneWord } from '../parts/tone.tsx';
import { Key, Segmented } from '../ui/field.tsx';
import { Empty } from '../ui/state.tsx';
import { VirtualTable, type Column } from '../ui/table.tsx';
import { readFilter, type FilterSearch } from '../url/filter.ts';
import { attentionOverTime, attentionRate, rateOverTime, signalRows, type SignalRow } from './signals/rows.ts';
import { signalFilter, SignalPanel } from './signals/signal-panel.tsx';

const ROW = 26;

export default function SignalsPage() {
  const search = useSearch({ from: '/signals' });
  const filters = readFilter({ ...search });
  const range = useRange();
  const signals = useQuery(signalCodes(filters, range));
  return (
    <AggregatePage
      title="Signals"
      filters={filters}
      query={signals}
      hasRuns={(data) => data.total_runs > 0}
      empty={(data) =>
        data.types.length === 0 ? (
          <Empty title="No signal was recorded">{counted(data.total_runs, 'run')} in this time, none of them with a quality signal.</Empty>
        ) : undefined
      }
    >
      {(data) => <Found data={data} filters={filters} range={range} />}
    </AggregatePage>
  );
}

function Found({ data, filters, range }: { data: Signals; filters: FilterSearch; range: PageRange }) {
  const search = useSearch({ from: '/signals' });
  const navigate = useNavigate({ from: '/signals' });
  const beforeFilter = useBefore(filters);
  const before = useQuery({ ...signalsQuery(beforeFilter ?? {}), enabled: beforeFilter !== undefined }).data;
  const rowsBefore = before === undefined || before.total_runs === 0 ? undefined : new Map(signalRows(before).map((row) => [row.id, row]));
  const shareBefore = (row: SignalRow) =>
    before === undefined || rowsBefore === undefined ? undefined : (100 * (rowsBefore.get(row.id)?.runs ?? 0)) / before.total_runs;
  const tone = search.tone ?? 'all';
  const rows = signalRows(data).filter(({ attention }) => tone === 'all' || attention === (tone === 'attention'));
  const active = rows.findIndex(({ id }) => id === search.show);
  const shown = rows[active];
  const buckets = data.timeline?.buckets ?? [];
  const show = (row: SignalRow | undefined, replace: boolean) => void navigate({ search: (old) => ({ ...old, show: row?.id }), replace });
  const move = (by: number) => {
    const next = rows[active === -1 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, active + by))];
    if (next !== undefined) show(next, search.show !== undefined);
  };
  const group = 'Signals';
  useKeys([
    { key: 'j', label: 'Next signal', group, run: () => move(1) },
    { key: 'ArrowDown', label: 'Next signal', group, run: () => move(1) },
    { key: 'k', label: 'Previous signal', group, run: () => move(-1) },
    { key: 'ArrowUp', label: 'Previous signal', group, run: () => move(-1) },
    {
      key: 'Enter',
      label: 'Runs with the signal',
      group,
      run: () => (shown === undefined ? false : void navigate({ to: '/runs', search: signalFilter(filters, shown) })),
    },
    { key: 'Escape', label: 'Close the signal', group, run: () => (shown === undefined ? false : show(undefined, false)) },
  ]);
  const columns: Column<SignalRow>[] = [
    {
      id: 'signal',
      title: 'Signal',
      width: 'minmax(190px, 1.6fr)',
      cell: (row) => (
        <button type="button" className="max-w-full truncate hover:underline" onClick={() => show(row, false)} aria-label={`Show ${row.type} ${row.code} ${row.value ? 'true' : 'false'}`}>
          {row.type} <span className="text-ink-2">/ {row.code}</span>
        </button>
      ),
    },
    { id: 'value', title: 'Value', width: '56px', mono: true, cell: ({ value }) => (value ? 'true' : 'false') },
    { id: 'tone', title: 'Tone', width: '88px', from: 'md', cell: ({ attention }) => <ToneWord attention={attention} /> },
    {
      id: 'runs',
      title: 'Runs',
      width: '72px',
      from: 'md',
      align: 'end',
      mono: true,
      cell: (row) => (
        <Link to="/runs" search={signalFilter(filters, row)} className="hover:underline">
          {count(row.runs)}
        </Link>
      ),
    },
    { id: 'share', title: 'Of all runs', width: '84px', align: 'end', mono: true, cell: ({ runs }) => shareText(runs, data.total_runs) },
    {
      id: 'change',
      title: 'Change',
      width: '84px',
      from: 'md',
      align: 'end',
      cell: (row) => <ChangeText worse={row.attention ? 'up' : 'neither'} change={pointsChange((100 * row.runs) / data.total_runs, shareBefore(row))} />,
    },
    { id: 'count', title: 'Signals', width: '72px', from: 'md', align: 'end', mono: true, cell: (row) => count(row.count) },
    {
      id: 'time',
      title: 'Share over time',
      width: '200px',
      from: 'md',
      cell: (row) => (
        <Sparkline
          label={`Share of the runs with ${row.type}/${row.code} over time`}
          values={rateOverTime(buckets, row).map(({ values }) => values[0] ?? null)}
          width={180}
          height={20}
        />
      ),
    },
  ];
  return (
    <div className="flex min-h-0 grow flex-col max-md:overflow-auto">
      <section aria-label="Attention by type" className="shrink-0 border-t border-line">
        <header className="flex min-h-9 items-center gap-3 px-5">
          <h2 className="text-13 font-semibold">
            <span aria-hidden="true" className="text-failure">
              ▼
            </span>{' '}
            Signals that ask for attention
          </h2>
          <span className="ml-auto text-right text-12 text-ink-3 max-md:hidden">of a hundred runs, by type</span>
        </header>
        <ul className="grid grid-cols-2 gap-y-3 px-5 pb-3 md:grid-cols-3 lg:grid-cols-4 xl:grid-cols-[repeat(auto-fit,minmax(180px,1fr))]">
          {data.types.map(({ signal_type }) => (
            <li key={signal_type} className="min-w-0 border-l border-line pl-3">
              <h3 className="truncate text-12 text-ink-3">{signal_type}</h3>
              <p className="flex items-baseline gap-2 text-14 font-semibold">
                {attentionRate(data, signal_type)?.toFixed(1)}
                {before !== undefined && before.total_runs > 0 && <ChangeText worse="up" change={pointsChange(attentionRate(data, signal_type), attentionRate(before, signal_type))} />}
              </p>
              <Lines
                label={`Signals of ${signal_type} that ask for attention, of a hundred runs, over time`}
                series={[{ name: 'of 100 runs', color: 'var(--failure)', dashed: false }]}
                points={attentionOverTime(data, signal_type)}
                zone={range.zone}
                height={72}
                format={(value) => (value === null ? '—' : value.toFixed(value < 10 ? 1 : 0))}
              />
            </li>
          ))}
        </ul>
      </section>
      <div className="flex h-10 shrink-0 items-center gap-3 border-t border-line px-5">
        <Segmented
          label="Tone"
          value={tone}
          options={[
            { value: 'all', label: 'All' },
            { value: 'attention', label: '▼ Attention' },
            { value: 'plain', label: '▲ Plain' },
          ]}
          onChange={(value) => void navigate({ search: (old) => ({ ...old, tone: value === 'all' ? undefined : value }) })}
        />
        <span className="ml-auto text-12 text-ink-3">
          {counted(data.total_signals, 'signal')} in {counted(data.total_runs, 'run')}
        </span>
      </div>
      <div className="relative flex min-h-0 grow max-md:min-h-96">
        <div className="flex min-h-0 min-w-0 grow flex-col">
          <div className="min-h-0 grow border-t border-line">
            {rows.length === 0 ? (
              <Empty title={`No signal of this tone`} />
            ) : (
              <VirtualTable
                label="Signals"
                columns={columns}
                rows={rows}
                rowKey={({ id }) => id}
                rowHeight={ROW}
                active={active === -1 ? undefined : active}
                onActivate={(row) => show(row, search.show !== undefined)}
                onOpen={(row) => void navigate({ to: '/runs', search: signalFilter(filters, row) })}
                rowLabel={({ type, code, value }) => `${type} ${code} ${value ? 'true' : 'false'}`}
              />
            )}
          </div>
          <footer className="flex h-7 shrink-0 items-center gap-4 border-t border-line bg-panel px-5 text-12 text-ink-3">
            <span>▼ asks for attention · ▲ does not: it marks, it does not judge</span>
            <span className="ml-auto hidden items-center gap-3 md:flex">
              <span>
                <Key>J</Key> <Key>K</Key> signal
              </span>
              <span>
                <Key>Enter</Key> its runs
              </span>
            </span>
          </footer>
        </div>
        {shown !== undefined && <SignalPanel key={shown.id} row={shown} data={data} runsBefore={shareBefore(shown)} filters={filters} onClose={() => show(undefined, false)} />}
      </div>
    </div>
  );
}
