/** What differs over all steps: time by step, decisions, signals. */

import { useNavigate, useSearch } from '@tanstack/react-router';

import type { Difference, RunDifferences, StepTotal } from '../../compare/runs.ts';
import { count, duration } from '../../format/index.ts';
import { StepMark } from '../../parts/marks.tsx';
import { Tabs } from '../../ui/field.tsx';
import { Empty } from '../../ui/state.tsx';
import { RUN_PARTS } from '../../url/compare.ts';
import { Side } from './side.tsx';

/** So many groups are listed; what is beyond them is rare, and is counted. */
const MOST_GROUPS = 100;

export function Parts({ differences }: { differences: RunDifferences }) {
  const { part = 'totals' } = useSearch({ from: '/compare' });
  const navigate = useNavigate({ from: '/compare' });
  const { totals, decisions, signals } = differences;
  const sum = (groups: readonly Difference[]) => groups.reduce((all, group) => all + group.count, 0);
  const titles = { totals: 'Time by step', decisions: `Decisions ${count(sum(decisions))}`, signals: `Signals ${count(sum(signals))}` };
  return (
    <aside aria-label="What differs over all steps" className="flex min-h-0 shrink-0 flex-col border-line bg-panel max-lg:border-t lg:w-88 lg:border-l xl:w-96">
      <div className="px-4 pt-1">
        <Tabs
          id="compare-part"
          label="What differs"
          value={part}
          options={RUN_PARTS.map((value) => ({ value, label: titles[value] }))}
          onChange={(next) => void navigate({ search: (before) => ({ ...before, part: next === 'totals' ? undefined : next }), replace: true })}
        />
      </div>
      <div
        id="compare-part"
        role="tabpanel"
        aria-labelledby={`compare-part-${part}`}
        tabIndex={0}
        className="scroll-quietly min-h-0 grow overflow-y-auto px-4 pb-4 focus-visible:-outline-offset-2"
      >
        {part === 'totals' && <Totals totals={totals} />}
        {part === 'decisions' && <Groups groups={decisions} nothing="Steps that belong together decided alike" />}
        {part === 'signals' && <Groups groups={signals} nothing="Steps that belong together signalled alike" />}
      </div>
    </aside>
  );
}

function Totals({ totals }: { totals: readonly StepTotal[] }) {
  const largest = Math.max(1, ...totals.map(({ a, b }) => Math.abs(b.latencyMs - a.latencyMs)));
  if (totals.length === 0) return <Empty title="Neither run has a step" />;
  return (
    <table className="w-full table-fixed border-collapse text-13">
      <thead>
        <tr className="text-12 text-ink-3">
          <th scope="col" className="h-7 text-left font-normal">
            Step
          </th>
          <th scope="col" className="w-20 text-right font-normal">
            Times
          </th>
          <th scope="col" className="w-28 text-right font-normal">
            Time, B less A
          </th>
        </tr>
      </thead>
      <tbody>
        {totals.slice(0, MOST_GROUPS).map(({ type, name, a, b }) => {
          const by = b.latencyMs - a.latencyMs;
          const half = (Math.abs(by) / largest) * 50;
          return (
            <tr key={`${type} ${name}`} className="border-t border-line">
              <th scope="row" className="h-9 text-left font-normal">
                <span className="flex min-w-0 items-center gap-2">
                  <StepMark type={type} />
                  <span className="truncate">{name}</span>
                </span>
              </th>
              <td className="text-right font-mono text-12 whitespace-nowrap text-ink-2">
                {a.steps === b.steps ? `${count(a.steps)} =` : `${count(a.steps)} → ${count(b.steps)}`}
              </td>
              <td className="pl-3 text-right font-mono text-12 whitespace-nowrap">
                <span title={`${duration(a.latencyMs)} in A, ${duration(b.latencyMs)} in B`}>{by > 0 ? `+${duration(by)}` : duration(by)}</span>
                <svg width="100%" height="4" aria-hidden="true" className="mt-0.5 block">
                  <rect width="100%" height="4" fill="var(--line)" />
                  <rect x={`${by < 0 ? 50 - half : 50}%`} width={`${half}%`} height="4" fill={by < 0 ? 'var(--line-strong)' : 'var(--accent)'} />
                  <rect x="50%" width="1" height="4" fill="var(--ink-3)" />
                </svg>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Groups({ groups, nothing }: { groups: readonly Difference[]; nothing: string }) {
  const navigate = useNavigate({ from: '/compare' });
  if (groups.length === 0) return <Empty title={nothing} />;
  const rest = groups.slice(MOST_GROUPS).reduce((sum, group) => sum + group.count, 0);
  return (
    <>
      <ul>
        {groups.slice(0, MOST_GROUPS).map(({ subject, a, b, count: number, row }) => (
          <li key={JSON.stringify([subject, a, b])} className="border-b border-line py-1.5 last:border-0">
            <div className="flex items-baseline gap-2">
              <span className="min-w-0 truncate font-medium">{subject}</span>
              <span className="text-12 text-ink-3">× {count(number)}</span>
              {row !== undefined && (
                <button
                  type="button"
                  className="ml-auto min-h-6 shrink-0 text-12 text-accent hover:underline"
                  aria-label={`First row with ${subject}: ${a ?? 'none'} in A, ${b ?? 'none'} in B`}
                  onClick={() => void navigate({ search: (before) => ({ ...before, row }), replace: true })}
                >
                  first row
                </button>
              )}
            </div>
            <SideText side="A" text={a} />
            <SideText side="B" text={b} />
          </li>
        ))}
      </ul>
      {rest > 0 && <p className="pt-2 text-12 text-ink-3">{count(rest)} more that are rarer.</p>}
    </>
  );
}

function SideText({ side, text }: { side: 'A' | 'B'; text: string | undefined }) {
  return (
    <p className="flex min-w-0 items-center gap-2 text-12">
      <Side side={side} />
      <span className={text === undefined ? 'text-ink-3' : 'min-w-0 truncate font-mono text-ink-2'} title={text}>
        {text ?? 'none'}
      </span>
    </p>
  );
}
