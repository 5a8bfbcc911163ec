/** What the charts have in common. */

import { useId, type ReactNode } from 'react';

import { Later } from '../ui/later.tsx';

/** One series: its name, the token of its colour, and a second sign, so that the colour is never alone. */
export interface Series {
  name: string;
  /** A CSS colour, as `var(--failure)`. */
  color: string;
  /** Drawn with stripes. */
  hatched?: boolean;
  /** Drawn as a broken line. */
  dashed?: boolean;
}

/** Runs by how they ended, what failed at the bottom, in every chart that has them. */
export const STATUS_SERIES: readonly Series[] = [
  { name: 'failure', color: 'var(--failed-bar)', hatched: true },
  { name: 'partial', color: 'var(--partial)' },
  { name: 'success', color: 'var(--success-bar)' },
];

/** The stripes of hatched series, and how to refer to them. */
export function useHatches(series: readonly Series[]): { defs: ReactNode; fill: (at: number) => string } {
  const id = useId();
  return {
    defs: (
      <defs>
        {series.map((one, at) =>
          one.hatched === true ? (
            <pattern key={at} id={`${id}-${at}`} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect width="5" height="5" fill={one.color} />
              <rect width="1.5" height="5" fill="var(--bg)" opacity="0.55" />
            </pattern>
          ) : null,
        )}
      </defs>
    ),
    fill: (at) => (series[at]?.hatched === true ? `url(#${id}-${at})` : (series[at]?.color ?? 'none')),
  };
}

/** Which series is which. */
export function Legend({ series }: { series: readonly Series[] }) {
  const { defs, fill } = useHatches(series);
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 text-12 text-ink-2">
      {series.map((one, at) => (
        <li key={one.name} className="inline-flex items-center gap-1.5">
          <svg width="14" height="8" aria-hidden="true">
            {defs}
            {one.dashed === undefined ? (
              <rect width="14" height="8" rx="2" fill={fill(at)} />
            ) : (
              <path d="M0 4H14" stroke={one.color} strokeWidth="2" strokeDasharray={one.dashed ? '3 2' : undefined} />
            )}
          </svg>
          {one.name}
        </li>
      ))}
    </ul>
  );
}

interface HiddenTableProps {
  caption: string;
  head: readonly string[];
  /** Asked for when it is time for them. */
  rows: () => readonly (readonly string[])[];
}

/** The numbers of a chart as a table that is heard and not seen, and which nobody who sees the page has to wait for. */
export function HiddenTable(props: HiddenTableProps) {
  return (
    // A table alone would keep its width, and make the page wider than it is.
    <div className="sr-only">
      <Later>
        <NumbersTable {...props} />
      </Later>
    </div>
  );
}

function NumbersTable({ caption, head, rows }: HiddenTableProps) {
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {head.map((cell) => (
            <th key={cell} scope="col">
              {cell}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows().map((cells, row) => (
          <tr key={row}>
            {cells.map((cell, at) => (at === 0 ? <th key={at} scope="row">{cell}</th> : <td key={at}>{cell}</td>))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The box beside the pointer. */
export function ChartTip({ x, width, children }: { x: number; width: number; children: ReactNode }) {
  const right = x > width / 2;
  return (
    <div
      aria-hidden="true"
      style={right ? { right: width - x + 10 } : { left: x + 10 }}
      className="pointer-events-none absolute top-1 z-20 rounded-md bg-bg px-2 py-1 text-12 whitespace-nowrap shadow-pop"
    >
      {children}
    </div>
  );
}
