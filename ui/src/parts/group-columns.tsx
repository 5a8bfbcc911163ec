/** The columns of tables of agents and versions: the numbers of a group of runs, each with its change. */

import { Link } from '@tanstack/react-router';

import type { Group, StatusCounts } from '../api/types.ts';
import { ago, clock, count, duration, percent, pointsChange, relativeChange, shareText, type Zone } from '../format/index.ts';
import { STATUS_SERIES, useHatches } from '../charts/series.tsx';
import type { Column } from '../ui/table.tsx';
import type { FilterSearch } from '../url/filter.ts';
import { ChangeText } from './change.tsx';

/** A group of runs, as it is now and as it was in the range before. */
export interface GroupRow {
  now: Group;
  /** `null`: it had no runs then; `undefined`: that is not known. */
  before: Group | null | undefined;
  /** The filter that its runs meet. */
  filter: FilterSearch;
}

/** What a table says where the range before had nothing. */
const missing = ({ before }: GroupRow) => (before === null ? 'new' : undefined);

/** The runs of a group by status, as one bar. */
export function StatusBar({ counts, width = 96 }: { counts: StatusCounts; width?: number }) {
  const { defs, fill } = useHatches(STATUS_SERIES);
  const values = [counts.failure, counts.partial, counts.success];
  const all = Math.max(1, counts.success + counts.partial + counts.failure);
  let at = 0;
  return (
    <svg
      width={width}
      height="8"
      role="img"
      aria-label={`${count(counts.success)} success, ${count(counts.partial)} partial, ${count(counts.failure)} failure`}
      className="inline-block align-middle"
    >
      {defs}
      {values.map((value, index) => {
        const x = at;
        // However few failed, it is seen.
        const size = value === 0 ? 0 : Math.max(index === 0 ? 2 : 0, (value / all) * width);
        at += size;
        return <rect key={index} x={x} width={size} height="8" fill={fill(index)} />;
      })}
    </svg>
  );
}

/** How wide a change is beside its number, with the space about it. */
const CHANGE_INSET = 82;

/** Number and change side by side, each in its own column of the cell, so that both stand under each other. */
function Two({ children, change }: { children: React.ReactNode; change: React.ReactNode }) {
  return (
    <span className="inline-grid grid-cols-[1fr_72px] items-baseline gap-1">
      <span>{children}</span>
      <span className="text-right">{change}</span>
    </span>
  );
}

/** What is left out where there is no room stands on the page of the agent, or in the list of runs. */
export function groupColumns<Row extends GroupRow>(zone: Zone, now: Date): Column<Row>[] {
  return [
    {
      id: 'runs',
      title: 'Runs',
      from: 'md',
      align: 'end',
      inset: CHANGE_INSET,
      mono: true,
      width: '140px',
      sortable: true,
      cell: (row) => (
        <Two change={<ChangeText change={relativeChange(row.now.runs, row.before?.runs)} missing={missing(row)} />}>
          <Link to="/runs" search={row.filter} className="hover:underline">
            {count(row.now.runs)}
          </Link>
        </Two>
      ),
    },
    { id: 'status', title: 'By status', width: '112px', from: 'xl', cell: (row) => <StatusBar counts={row.now.by_status} /> },
    {
      id: 'failure_rate',
      title: 'Failure rate',
      width: '156px',
      align: 'end',
      inset: CHANGE_INSET,
      mono: true,
      sortable: true,
      cell: (row) => (
        <Two change={<ChangeText worse="up" change={pointsChange(row.now.failure_rate, row.before?.failure_rate)} />}>
          <Link to="/runs" search={{ ...row.filter, status: ['failure'] }} className="hover:underline">
            {percent(row.now.failure_rate)}
          </Link>
        </Two>
      ),
    },
    { id: 'p50', title: 'p50', width: '84px', from: 'md', align: 'end', mono: true, sortable: true, cell: (row) => duration(row.now.duration_ms.p50) },
    {
      id: 'p95',
      title: 'p95',
      width: '152px',
      from: 'md',
      align: 'end',
      inset: CHANGE_INSET,
      mono: true,
      sortable: true,
      cell: (row) => (
        <Two change={<ChangeText worse="up" change={relativeChange(row.now.duration_ms.p95, row.before?.duration_ms.p95)} />}>{duration(row.now.duration_ms.p95)}</Two>
      ),
    },
    {
      id: 'retries',
      title: 'Retried',
      width: '84px',
      from: 'md',
      align: 'end',
      mono: true,
      sortable: true,
      cell: (row) => (
        <Link to="/runs" search={{ ...row.filter, retries: 'true' }} className="hover:underline">
          {shareText(row.now.runs_with_retries, row.now.runs)}
        </Link>
      ),
    },
    { id: 'last_seen', title: 'Last run', width: '100px', from: 'lg', align: 'end', mono: true, sortable: true, cell: (row) => (row.now.last_seen === null ? '—' : ago(row.now.last_seen, now)) },
    {
      id: 'first_seen',
      title: 'First run',
      width: '136px',
      from: '2xl',
      align: 'end',
      mono: true,
      sortable: true,
      cell: (row) => (row.now.first_seen === null ? '—' : clock(row.now.first_seen, zone, now)),
    },
  ];
}

/** The number by which a table of groups is ordered. */
export function groupNumber(group: Group, by: string): number {
  switch (by) {
    case 'failure_rate':
      return group.failure_rate;
    case 'p50':
      return group.duration_ms.p50 ?? -1;
    case 'p95':
      return group.duration_ms.p95 ?? -1;
    case 'retries':
      return group.runs === 0 ? 0 : group.runs_with_retries / group.runs;
    case 'last_seen':
      return group.last_seen === null ? 0 : Date.parse(group.last_seen);
    case 'first_seen':
      return group.first_seen === null ? 0 : Date.parse(group.first_seen);
    default:
      return group.runs;
  }
}

/** The ways to order a table of groups. */
export const GROUP_SORTS = ['runs', 'failure_rate', 'p50', 'p95', 'retries', 'last_seen', 'first_seen'] as const;
