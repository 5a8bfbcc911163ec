/** The steps of both runs, those that belong together in one row. */

import { useNavigate, useRouter, useSearch } from '@tanstack/react-router';
import { useCallback, useId, useMemo, useRef, useState, type MouseEvent, type ReactNode } from 'react';

import type { Run, Step } from '../../api/types.ts';
import { useKeys } from '../../app/keys.ts';
import { usePreferences } from '../../app/preferences.ts';
import { CHANGES, barScale, lineOf, lines, nextDifference, NOTABLE_MS, NOTABLE_SHARE, type Change, type Line, type Row, type RunDifferences } from '../../compare/runs.ts';
import { count, counted, duration } from '../../format/index.ts';
import { STEP_COLOR, StepMark } from '../../parts/marks.tsx';
import { Badge } from '../../ui/badge.tsx';
import { Button } from '../../ui/button.tsx';
import { ToggleChip } from '../../ui/chip.tsx';
import { cx } from '../../ui/class.ts';
import { useSize } from '../../ui/size.ts';
import { Empty } from '../../ui/state.tsx';
import { stringifySearch } from '../../url/search.ts';
import { VirtualTable, type Column } from '../../ui/table.tsx';

/** The sign and the word of each change. Words tell what is so; whether it is good is for the reader to say. */
export const CHANGE_SIGN: Record<Change, string> = { removed: '−', added: '+', slower: '▸', faster: '◂', outcome: '✕', decision: '◆', signal: '▼' };
const CHANGE_NAME: Record<Change, string> = {
  removed: 'only in A',
  added: 'only in B',
  slower: 'slower in B',
  faster: 'faster in B',
  outcome: 'other outcome',
  decision: 'other decision',
  signal: 'other signal',
};
/** The colour of a side, and that of a failure; a change has none, since it is neither good nor bad. */
const CHANGE_COLOR: Record<Change, string> = {
  removed: 'text-ink-2',
  added: 'text-accent',
  slower: 'text-ink',
  faster: 'text-ink',
  outcome: 'text-failure',
  decision: 'text-ink',
  signal: 'text-ink',
};

export function Steps({ a, b, differences }: { a: Run; b: Run; differences: RunDifferences }) {
  const { change: wanted, all, row: activeRow } = useSearch({ from: '/compare' });
  const navigate = useNavigate({ from: '/compare' });
  const router = useRouter();
  const { density } = usePreferences();
  const { rows, counts } = differences;
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const box = useRef<HTMLDivElement>(null);
  const { width } = useSize(box);

  const shown = useMemo(() => {
    const isWanted = (row: Row) => (wanted === undefined ? row.changes.length > 0 : row.changes.some((change) => wanted.includes(change)));
    return all === true && wanted === undefined ? lines(rows, () => true, opened) : lines(rows, isWanted, opened);
  }, [rows, wanted, all, opened]);
  const scale = useMemo(() => barScale(rows), [rows]);
  const active = activeRow === undefined ? undefined : lineOf(shown, activeRow);
  const alike = rows.length - rows.filter(({ changes }) => changes.length > 0).length;

  const set = (change: { row?: number; change?: Change[] | undefined; all?: true | undefined }) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const goTo = (at: number | undefined) => {
    const line = at === undefined ? undefined : shown[at];
    if (line !== undefined) set({ row: line.kind === 'row' ? line.row : line.from });
  };
  const open = useCallback((line: Line) => {
    if (line.kind === 'ellipsis') setOpened((before) => new Set([...before, line.from]));
  }, []);
  // Two links a row are plain ones, followed here: those of the router would be most of the work of a scroll.
  const { from, to, tz } = useSearch({ from: '__root__' });
  const hrefOf = useCallback((step: Step) => `/runs/${step.run_id}${stringifySearch({ from, to, tz, step: step.seq })}`, [from, to, tz]);
  const follow = (event: MouseEvent) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-step]');
    if (link === null || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void router.navigate({ href: link.getAttribute('href') ?? '' });
  };
  const openStep = (side: 'a' | 'b') => {
    const line = active === undefined ? undefined : shown[active];
    const step = line?.kind === 'row' ? rows[line.row]?.[side] : undefined;
    if (step === undefined) return false;
    void navigate({ to: '/runs/$runId', params: { runId: step.run_id }, search: { step: step.seq } });
    return true;
  };
  const move = (by: number) => goTo(active === undefined ? 0 : Math.max(0, Math.min(shown.length - 1, active + by)));
  const group = 'Compare runs';
  useKeys([
    { key: 'j', label: 'Next row', group, run: () => move(1) },
    { key: 'ArrowDown', run: () => move(1) },
    { key: 'k', label: 'Row before', group, run: () => move(-1) },
    { key: 'ArrowUp', run: () => move(-1) },
    { key: 'n', label: 'Next difference', group, run: () => goTo(nextDifference(shown, rows, active ?? -1, 1)) },
    { key: 'p', label: 'Difference before', group, run: () => goTo(nextDifference(shown, rows, active ?? 0, -1)) },
    {
      key: 'Enter',
      label: 'Open the step, or what is left out',
      group,
      run: () => {
        const line = active === undefined ? undefined : shown[active];
        if (line?.kind === 'ellipsis') open(line);
        else return openStep('b') || openStep('a');
        return true;
      },
    },
    { key: 'a', label: 'The step in A', group, run: () => openStep('a') },
    { key: 'b', label: 'The step in B', group, run: () => openStep('b') },
    { key: 's', label: 'Swap sides', group, run: () => void navigate({ search: (before) => ({ ...before, a: b.run_id, b: a.run_id, row: undefined }) }) },
  ]);

  const columns = useMemo(() => columnsFor(width, rows, scale, open, hrefOf), [width, rows, scale, open, hrefOf]);
  const rowHeight = density === 'comfortable' ? 32 : 26;
  return (
    <section aria-label="Steps" className="flex min-h-0 min-w-0 grow flex-col max-lg:shrink-0">
      <div className="flex shrink-0 flex-wrap items-center gap-1.5 border-b border-line px-5 py-1.5">
        {CHANGES.map((change) => (
          <ToggleChip
            key={change}
            on={wanted?.includes(change) === true}
            onToggle={() => {
              const next = CHANGES.filter((one) => (one === change) !== (wanted?.includes(one) === true));
              set({ change: next.length === 0 ? undefined : next });
            }}
          >
            <span aria-hidden="true" className={cx('w-3 text-center', CHANGE_COLOR[change])}>
              {CHANGE_SIGN[change]}
            </span>
            {CHANGE_NAME[change]} <span className="text-ink-3">{count(counts[change])}</span>
          </ToggleChip>
        ))}
        <ToggleChip on={all === true && wanted === undefined} onToggle={() => set({ change: undefined, all: all === true && wanted === undefined ? undefined : true })}>
          alike <span className="text-ink-3">{count(alike)}</span>
        </ToggleChip>
      </div>
      <div ref={box} className="min-h-0 grow max-lg:h-[60vh]" onClick={follow}>
        {rows.length === 0 ? (
          <Empty title="Neither run has a step" />
        ) : (
          <VirtualTable
            label="Steps of both runs"
            columns={columns}
            rows={shown}
            rowKey={(line) => (line.kind === 'row' ? `row ${line.row}` : `ellipsis ${line.from}`)}
            rowHeight={rowHeight}
            active={active}
            onActivate={(line) => {
              if (line.kind === 'ellipsis') open(line);
              else set({ row: line.row });
            }}
            rowLabel={(line) => (line.kind === 'row' ? spoken(rows[line.row]) : `${counted(line.to - line.from, 'step')} not shown`)}
          />
        )}
      </div>
      <footer className="flex min-h-7 shrink-0 flex-wrap items-center gap-x-4 border-t border-line bg-panel px-5 text-11 text-ink-2">
        <span className="inline-flex items-center gap-1.5">
          <svg width="14" height="12" aria-hidden="true">
            <rect y="1" width="14" height="4" fill="var(--line-strong)" />
            <rect y="7" width="14" height="4" fill="var(--tool)" />
          </svg>
          A above, B below
        </span>
        <span>
          slower, faster: by ≥ {Math.round(NOTABLE_SHARE * 100)} % and ≥ {duration(NOTABLE_MS)}
        </span>
        <span>aligned by type and name</span>
        <span className="ml-auto hidden font-mono whitespace-nowrap xl:inline">N/P difference · A/B open</span>
      </footer>
    </section>
  );
}

function spoken(row: Row | undefined): string {
  if (row === undefined) return '';
  const step = row.a ?? row.b;
  const said = row.changes.map((change) => CHANGE_NAME[change]).join(', ');
  return `${step?.step_type ?? ''} ${step?.name ?? ''}: ${said === '' ? 'alike' : said}`;
}

/** Both latencies on one scale; one that is longer than it ends in a gap, as a broken bar. */
function Bars({ row, scale }: { row: Row; scale: number }) {
  const type = (row.a ?? row.b)?.step_type;
  const bar = (step: Step | undefined, y: number, color: string) => {
    if (step === undefined) return null;
    const cut = step.latency_ms > scale;
    return (
      <>
        <rect y={y} width={`${cut ? 96 : Math.max(0.6, (step.latency_ms / scale) * 96)}%`} height="5" rx="1" fill={color} />
        {cut && <rect x="97.5%" y={y} width="2.5%" height="5" rx="1" fill={color} />}
      </>
    );
  };
  return (
    <svg width="100%" height="16" aria-hidden="true" className="block">
      {bar(row.a, 2, 'var(--line-strong)')}
      {bar(row.b, 9, type === undefined ? 'var(--accent)' : STEP_COLOR[type])}
    </svg>
  );
}

type HrefOf = (step: Step) => string;

/** A step, or stripes where this side has none. */
function StepCell({ step, side, hrefOf }: { step: Step | undefined; side: 'a' | 'b'; hrefOf: HrefOf }) {
  const stripes = useId();
  if (step === undefined) {
    return (
      <span className="flex items-center">
        <span className="sr-only">not in {side.toUpperCase()}</span>
        <svg width="100%" height="8" aria-hidden="true">
          <pattern id={stripes} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="1.5" height="6" fill="var(--line)" />
          </pattern>
          <rect width="100%" height="8" rx="2" fill={`url(#${stripes})`} />
        </svg>
      </span>
    );
  }
  return (
    <span className="flex min-w-0 items-center gap-2">
      <span className="w-9 shrink-0 text-right font-mono text-11 text-ink-3">{step.seq}</span>
      <StepMark type={step.step_type} />
      <a
        href={hrefOf(step)}
        data-step={step.seq}
        aria-label={`${step.name}, step ${step.seq} of ${side.toUpperCase()}`}
        className="min-w-0 truncate hover:underline"
      >
        {step.name}
      </a>
      {step.attempts_total > 1 && (
        <Badge outline tone={step.status === 'failed' ? 'failure' : 'neutral'}>
          {step.status === 'failed' ? '✕ ' : ''}
          {step.attempt}/{step.attempts_total}
        </Badge>
      )}
      {step.attempts_total <= 1 && step.status === 'failed' && (
        <Badge outline tone="failure" symbol="✕">
          {step.error_code ?? 'failed'}
        </Badge>
      )}
    </span>
  );
}

function sumOf(rows: readonly Row[], line: { from: number; to: number }, side: 'a' | 'b'): number {
  let sum = 0;
  for (let at = line.from; at < line.to; at++) sum += rows[at]?.[side]?.latency_ms ?? 0;
  return sum;
}

const by = (ms: number) => (ms === 0 ? '0 ms' : ms > 0 ? `+${duration(ms)}` : duration(ms));

function columnsFor(width: number, rows: readonly Row[], scale: number, open: (line: Line) => void, hrefOf: HrefOf): Column<Line>[] {
  const rowCell = (line: Line, cell: (row: Row) => ReactNode, ellipsis: (line: { from: number; to: number }) => ReactNode) => {
    if (line.kind === 'ellipsis') return ellipsis(line);
    const row = rows[line.row];
    return row === undefined ? null : cell(row);
  };
  const step = (side: 'a' | 'b'): Column<Line> => ({
    id: side,
    title: side === 'a' ? 'Step in A' : 'Step in B',
    width: 'minmax(150px, 1fr)',
    cell: (line) =>
      rowCell(
        line,
        (row) => <StepCell step={row[side]} side={side} hrefOf={hrefOf} />,
        (ellipsis) =>
          side === 'a' ? (
            <Button small kind="quiet" onClick={() => open({ kind: 'ellipsis', ...ellipsis })}>
              ⋯ {counted(ellipsis.to - ellipsis.from, 'row')} not shown
            </Button>
          ) : null,
      ),
  });
  const latency = (side: 'a' | 'b'): Column<Line> => ({
    id: `latency ${side}`,
    title: side === 'a' ? 'in A' : 'in B',
    width: '76px',
    align: 'end',
    mono: true,
    cell: (line) =>
      rowCell(
        line,
        (row) => {
          const one = row[side];
          return one === undefined ? null : <span className="text-ink-2">{duration(one.latency_ms)}</span>;
        },
        (ellipsis) => <span className="text-ink-3">{duration(sumOf(rows, ellipsis, side))}</span>,
      ),
  });
  const sign: Column<Line> = {
    id: 'change',
    title: 'Change',
    width: '64px',
    cell: (line) =>
      rowCell(
        line,
        (row) => (
          <span className="inline-flex gap-1.5 font-mono text-12">
            {row.changes.map((change) => (
              <span key={change} title={CHANGE_NAME[change]} className={CHANGE_COLOR[change]}>
                <span aria-hidden="true">{CHANGE_SIGN[change]}</span>
                <span className="sr-only">{CHANGE_NAME[change]}</span>
              </span>
            ))}
          </span>
        ),
        () => null,
      ),
  };
  const difference: Column<Line> = {
    id: 'difference',
    title: 'B less A',
    width: '84px',
    align: 'end',
    mono: true,
    cell: (line) =>
      rowCell(
        line,
        (row) => {
          if (row.differenceMs === undefined) return null;
          const notable = row.changes.includes('slower') || row.changes.includes('faster');
          return <span className={notable ? 'font-semibold' : 'text-ink-3'}>{by(row.differenceMs)}</span>;
        },
        (ellipsis) => <span className="text-ink-3">{by(sumOf(rows, ellipsis, 'b') - sumOf(rows, ellipsis, 'a'))}</span>,
      ),
  };
  const bars: Column<Line> = {
    id: 'bars',
    title: 'Latency',
    width: 'minmax(90px, 0.7fr)',
    cell: (line) => rowCell(line, (row) => <Bars row={row} scale={scale} />, () => null),
  };
  if (width > 0 && width < 640) {
    const either: Column<Line> = {
      ...step('a'),
      id: 'either',
      title: 'Step',
      width: 'minmax(140px, 1fr)',
      cell: (line) =>
        rowCell(
          line,
          (row) => <StepCell step={row.a ?? row.b} side={row.a === undefined ? 'b' : 'a'} hrefOf={hrefOf} />,
          (ellipsis) => (
            <Button small kind="quiet" onClick={() => open({ kind: 'ellipsis', ...ellipsis })}>
              ⋯ {counted(ellipsis.to - ellipsis.from, 'row')} not shown
            </Button>
          ),
        ),
    };
    return [{ ...sign, width: '44px', title: '' }, either, { ...difference, width: '72px' }];
  }
  if (width > 0 && width < 860) return [sign, step('a'), latency('a'), step('b'), latency('b'), difference];
  return [sign, step('a'), latency('a'), bars, latency('b'), step('b'), difference];
}
