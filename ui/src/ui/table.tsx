/** Tables: a plain one for what fits on a page, and one that holds only the rows in view. */

import { useEffect, useRef, useState, type CSSProperties, type ReactNode } from 'react';

import { useBreakpoint, type Breakpoint } from './breakpoint.ts';
import { cx } from './class.ts';
import { useSize } from './size.ts';

export interface Column<Row> {
  id: string;
  title: string;
  /** What is seen instead of the title; `null` for nothing. The title is still heard. */
  heading?: string | null;
  /** A CSS grid width: `120px`, `minmax(120px, 1fr)`. */
  width?: string;
  align?: 'end';
  /** How far from the edge its heading stands, in px, where the cells have something behind their number. */
  inset?: number;
  mono?: boolean;
  /** The narrowest window in which it is there; without, it always is. */
  from?: Breakpoint;
  /** Whether the table can be ordered by it. */
  sortable?: boolean;
  cell: (row: Row) => ReactNode;
}

export interface Sorting {
  by: string;
  order: 'asc' | 'desc';
}

/** The columns for which there is room. */
function useShown<Row>(columns: readonly Column<Row>[]): readonly Column<Row>[] {
  const isAtLeast = useBreakpoint();
  return columns.filter(({ from }) => from === undefined || isAtLeast(from));
}

const insetStyle = ({ inset }: { inset?: number }): CSSProperties => (inset === undefined ? {} : { paddingRight: inset });

function Title<Row>({
  column,
  sorting,
  onSort,
}: {
  column: Column<Row>;
  sorting: Sorting | undefined;
  onSort: ((sorting: Sorting) => void) | undefined;
}) {
  if (column.heading !== undefined) {
    return (
      <span title={column.title}>
        {column.heading !== null && <span aria-hidden="true">{column.heading}</span>}
        <span className="sr-only">{column.title}</span>
      </span>
    );
  }
  if (column.sortable !== true || onSort === undefined) return <span className="truncate">{column.title}</span>;
  const on = sorting?.by === column.id ? sorting.order : undefined;
  return (
    <button
      type="button"
      className={cx('inline-flex h-full items-center gap-1 whitespace-nowrap hover:text-ink', column.align === 'end' && 'flex-row-reverse')}
      onClick={() => onSort({ by: column.id, order: on === 'desc' ? 'asc' : 'desc' })}
    >
      {column.title}
      <span aria-hidden="true" className={on === undefined ? 'opacity-0' : ''}>
        {on === 'asc' ? '↑' : '↓'}
      </span>
    </button>
  );
}

const sortState = (sorting: Sorting | undefined, id: string) =>
  sorting?.by === id ? (sorting.order === 'asc' ? 'ascending' : 'descending') : undefined;

/** A table with all of its rows. */
export function Table<Row>({
  label,
  columns: allColumns,
  rows,
  rowKey,
  sorting,
  onSort,
}: {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  sorting?: Sorting;
  onSort?: (sorting: Sorting) => void;
}) {
  const columns = useShown(allColumns);
  return (
    <div className="scroll-quietly relative overflow-x-auto" role="region" aria-label={label} tabIndex={0}>
      <table className="w-full border-collapse text-13">
        <thead>
          <tr className="border-y border-line bg-panel text-12 text-ink-2">
            {columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                aria-sort={sortState(sorting, column.id)}
                style={{ ...(column.width === undefined ? {} : { width: column.width }), ...insetStyle(column) }}
                className={cx('h-7 px-3 font-medium whitespace-nowrap', column.align === 'end' ? 'text-right' : 'text-left')}
              >
                <Title column={column} sorting={sorting} onSort={onSort} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} className="border-b border-line last:border-0 hover:bg-panel">
              {columns.map((column) => (
                <td
                  key={column.id}
                  className={cx(
                    'h-(--row) max-w-96 truncate px-3 whitespace-nowrap',
                    column.align === 'end' && 'text-right',
                    column.mono === true && 'font-mono text-12',
                  )}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface VirtualTableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  /** How many rows there are in all, when they are more than are loaded; -1 when that is not known. */
  rowCount?: number;
  rowHeight: number;
  sorting?: Sorting;
  onSort?: (sorting: Sorting) => void;
  /** The row that keys are about; it is kept in view. */
  active?: number;
  onActivate?: (row: Row, index: number) => void;
  onOpen?: (row: Row, index: number) => void;
  isSelected?: (row: Row) => boolean;
  /** Called when the end comes into view. */
  onEnd?: () => void;
  /** What stands behind the last row. */
  footer?: ReactNode;
  rowLabel?: (row: Row) => string;
}

/** How many rows above and below the view are there, so that a scroll does not show emptiness. */
const SPARE_ROWS = 4;

/** The rows that are there, of `count` of the same height, for a view of `height` scrolled to `top`: half open. */
export function rowsInView(top: number, height: number, rowHeight: number, count: number): [number, number] {
  const first = Math.max(0, Math.floor(top / rowHeight) - SPARE_ROWS);
  const end = Math.min(count, Math.ceil((top + height) / rowHeight) + SPARE_ROWS);
  return [Math.min(first, end), end];
}

/** A table of any length, of which only what is seen is in the page. */
export function VirtualTable<Row>(props: VirtualTableProps<Row>) {
  const { label, rows, rowKey, rowCount, rowHeight, sorting, onSort, active, onActivate, onOpen } = props;
  const columns = useShown(props.columns);
  const { isSelected, onEnd, footer, rowLabel } = props;
  const view = useRef<HTMLDivElement>(null);
  const { height } = useSize(view);
  const [top, setTop] = useState(0);
  const [first, end] = rowsInView(top, height, rowHeight, rows.length);
  const template: CSSProperties = { gridTemplateColumns: columns.map((column) => column.width ?? 'minmax(80px, 1fr)').join(' ') };

  const atEnd = end >= rows.length && height > 0;
  const askForMore = useRef(onEnd);
  useEffect(() => {
    askForMore.current = onEnd;
  });
  useEffect(() => {
    if (atEnd) askForMore.current?.();
  }, [atEnd, rows.length]);

  useEffect(() => {
    const element = view.current;
    if (element === null || active === undefined || active < 0) return;
    const [from, to] = [active * rowHeight, (active + 1) * rowHeight];
    const header = 28;
    if (from < element.scrollTop) element.scrollTop = from;
    else if (to > element.scrollTop + element.clientHeight - header) element.scrollTop = to - element.clientHeight + header;
  }, [active, rowHeight]);

  return (
    <div
      ref={view}
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      className="scroll-quietly relative h-full min-h-0 overflow-auto text-13 focus-visible:-outline-offset-2"
    >
      <div role="table" aria-label={label} aria-rowcount={rowCount === -1 ? -1 : (rowCount ?? rows.length) + 1} className="min-w-fit">
        <div role="rowgroup" className="sticky top-0 z-10">
          <div
            role="row"
            aria-rowindex={1}
            style={template}
            className="grid h-7 items-center border-b border-line bg-panel px-4 text-12 text-ink-2"
          >
            {columns.map((column) => (
              <div
                key={column.id}
                role="columnheader"
                aria-sort={sortState(sorting, column.id)}
                style={insetStyle(column)}
                className={cx('flex h-full min-w-0 items-center px-1.5 font-medium', column.align === 'end' && 'justify-end')}
              >
                <Title column={column} sorting={sorting} onSort={onSort} />
              </div>
            ))}
          </div>
        </div>
        <div role="rowgroup" style={{ height: rows.length * rowHeight, position: 'relative' }}>
          {rows.slice(first, end).map((row, offset) => {
            const index = first + offset;
            const isActive = index === active;
            return (
              <div
                key={rowKey(row)}
                role="row"
                aria-rowindex={index + 2}
                aria-label={rowLabel?.(row)}
                aria-current={isActive ? 'true' : undefined}
                style={{ ...template, height: rowHeight, top: index * rowHeight }}
                onClick={(event) => {
                  if ((event.target as Element).closest('a, button, input, label') === null) onActivate?.(row, index);
                }}
                onDoubleClick={() => onOpen?.(row, index)}
                className={cx(
                  'absolute inset-x-0 grid items-center border-b border-line px-4',
                  isActive ? 'bg-selection' : isSelected?.(row) === true ? 'bg-panel' : 'hover:bg-panel',
                  isActive && 'shadow-[inset_2px_0_0_var(--accent)]',
                )}
              >
                {columns.map((column) => (
                  <div
                    key={column.id}
                    role="cell"
                    className={cx(
                      'min-w-0 truncate px-1.5 whitespace-nowrap',
                      column.align === 'end' && 'text-right',
                      column.mono === true && 'font-mono text-12',
                    )}
                  >
                    {column.cell(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </div>
      {footer}
    </div>
  );
}
