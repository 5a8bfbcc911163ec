/** What agents decide: by type, what was selected, and for which reason. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';

import { decisionTypes } from '../api/first.ts';
import { decisionsQuery } from '../api/queries.ts';
import type { Decisions, DecisionTypeCounts } from '../api/types.ts';
import { useBefore } from '../app/before.ts';
import { useKeys } from '../app/keys.ts';
import { useRange } from '../app/range.tsx';
import { ShareBar } from '../charts/share-bar.tsx';
import { Tenths } from '../charts/tenths.tsx';
import { count, counted, pointsChange, relativeChange, shareText } from '../format/index.ts';
import { AggregatePage } from '../parts/aggregate.tsx';
import { ChangeText } from '../parts/change.tsx';
import { Places } from '../parts/places.tsx';
import { cx, LINK } from '../ui/class.ts';
import { Figure, Figures } from '../ui/figures.tsx';
import { Section } from '../ui/section.tsx';
import { Empty } from '../ui/state.tsx';
import { readFilter, type FilterSearch } from '../url/filter.ts';
import { DECISION_TYPES } from '../url/pages.ts';

const share = (part: number | undefined, of: number | undefined) =>
  part === undefined || of === undefined || of === 0 ? undefined : (100 * part) / of;

export default function DecisionsPage() {
  const search = useSearch({ from: '/decisions' });
  const filters = readFilter({ ...search });
  const range = useRange();
  const decisions = useQuery(decisionTypes(filters, range));
  return (
    <AggregatePage
      title="Decisions"
      filters={filters}
      query={decisions}
      hasRuns={(data) => data.total_runs > 0}
      empty={(data) =>
        data.types.length === 0 ? (
          <Empty title="No decision was recorded">
            {counted(data.total_runs, 'run')} in this time, none of them with a decision. Agents record one with what was selected, from what, and the reason.
          </Empty>
        ) : undefined
      }
    >
      {(data) => <Found data={data} filters={filters} />}
    </AggregatePage>
  );
}

function Found({ data, filters }: { data: Decisions; filters: FilterSearch }) {
  const search = useSearch({ from: '/decisions' });
  const navigate = useNavigate({ from: '/decisions' });
  const beforeFilter = useBefore(filters);
  const before = useQuery({ ...decisionsQuery(beforeFilter ?? {}), enabled: beforeFilter !== undefined }).data;
  const types = data.types.toSorted((a, b) => b.count - a.count);
  const chosen = types.find(({ decision_type }) => decision_type === search.type) ?? types[0];
  const go = (by: number) => {
    const at = types.findIndex((one) => one === chosen);
    const next = types[Math.max(0, Math.min(types.length - 1, at + by))];
    const type = DECISION_TYPES.find((known) => known === next?.decision_type);
    void navigate({ search: (old) => ({ ...old, type }), replace: true });
  };
  const group = 'Decisions';
  useKeys([
    { key: 'j', label: 'Next type', group, run: () => go(1) },
    { key: 'k', label: 'Previous type', group, run: () => go(-1) },
  ]);
  const without = data.types.reduce((sum, { without_confidence }) => sum + without_confidence, 0);
  return (
    <div className="scroll-quietly relative flex min-h-0 grow flex-col overflow-auto">
      <div className="shrink-0 px-5 pt-1 pb-3">
        <Figures label="Decisions of the range">
          <Figure name="Decisions" detail={<ChangeText change={relativeChange(data.total_decisions, before?.total_decisions)} />}>
            {count(data.total_decisions)}
          </Figure>
          <Figure name="A run" detail="on average">
            {(data.total_decisions / Math.max(1, data.total_runs)).toFixed(1)}
          </Figure>
          <Figure name="Runs" detail="with and without">
            <Link to="/runs" search={filters} className="hover:underline">
              {count(data.total_runs)}
            </Link>
          </Figure>
          <Figure name="Types" detail={`of ${DECISION_TYPES.length}`}>
            {count(types.length)}
          </Figure>
          <Figure name="Without a confidence" detail={counted(without, 'decision')}>
            {shareText(without, data.total_decisions)}
          </Figure>
        </Figures>
      </div>
      <div className="grid grow border-t border-line lg:grid-cols-[260px_minmax(0,1fr)] xl:grid-cols-[260px_minmax(0,1fr)_400px] lg:divide-x lg:divide-line">
        <nav aria-label="Decision types" className="bg-panel py-1">
          <ul>
            {types.map((type) => (
              <li key={type.decision_type}>
                <Link
                  to="/decisions"
                  search={{ ...filters, type: DECISION_TYPES.find((known) => known === type.decision_type) }}
                  replace
                  aria-current={type === chosen ? 'true' : undefined}
                  className={cx(
                    'block px-5 py-1.5 focus-visible:-outline-offset-2',
                    type === chosen ? 'bg-selection shadow-[inset_2px_0_0_var(--accent)]' : 'hover:bg-bg',
                  )}
                >
                  <span className="flex items-baseline gap-2">
                    <span className={type === chosen ? 'font-semibold' : ''}>{type.decision_type}</span>
                    <span className="ml-auto font-mono text-12">{count(type.count)}</span>
                  </span>
                  <ShareBar share={type.count / data.total_decisions} label={shareText(type.count, data.total_decisions)} />
                  <span className="text-12 text-ink-2">
                    {shareText(type.count, data.total_decisions)} of decisions · in {counted(type.runs, 'run')}
                  </span>
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        {chosen !== undefined && (
          <TypeOf type={chosen} before={before?.types.find(({ decision_type }) => decision_type === chosen.decision_type)} filters={filters} />
        )}
      </div>
    </div>
  );
}

const GRID = 'grid h-(--row) grid-cols-[minmax(0,1fr)_64px_64px] items-center gap-3 px-5 md:grid-cols-[minmax(180px,1.6fr)_minmax(60px,1fr)_64px_64px_72px]';

function TypeOf({ type, before, filters }: { type: DecisionTypeCounts; before: DecisionTypeCounts | undefined; filters: FilterSearch }) {
  const own: FilterSearch = { ...filters, decision: [type.decision_type] };
  return (
    <>
      <Section
        title={type.decision_type}
        flush
        className="border-t-0 max-lg:border-t"
        aside={
          <>
            <span>
              {type.selected.length} of {counted(type.distinct_selected, 'thing')} selected
            </span>
            <Link to="/runs" search={own} className={LINK}>
              {counted(type.runs, 'run')} →
            </Link>
          </>
        }
      >
        <div role="table" aria-label={`What was selected, and why: ${type.decision_type}`} className="relative overflow-x-auto">
          <div role="row" className={`${GRID} border-y border-line bg-panel text-12 font-medium text-ink-2`}>
            <span role="columnheader" className="truncate">
              Selected, and the reason
            </span>
            <span role="columnheader" className="max-md:hidden">
              <span className="sr-only">Bar</span>
            </span>
            <span role="columnheader" className="text-right">
              Decisions
            </span>
            <span role="columnheader" className="text-right">
              Share
            </span>
            <span role="columnheader" className="text-right max-md:hidden">
              Change
            </span>
          </div>
          {type.selected.map((selected) => {
            const had = before?.selected.find((one) => one.selected === selected.selected);
            return (
              <div key={selected.selected} role="rowgroup" aria-label={selected.selected}>
                <div role="row" className={`${GRID} border-b border-line`}>
                  <span role="rowheader" className="truncate font-semibold">
                    {selected.selected}
                  </span>
                  <span role="cell" className="max-md:hidden">
                    <ShareBar share={selected.count / type.count} label={shareText(selected.count, type.count)} />
                  </span>
                  <span role="cell" className="text-right font-mono text-12">
                    {count(selected.count)}
                  </span>
                  <span role="cell" className="text-right font-mono text-12">
                    {shareText(selected.count, type.count)}
                  </span>
                  <span role="cell" className="text-right max-md:hidden">
                    <ChangeText change={pointsChange(share(selected.count, type.count), share(had?.count ?? 0, before?.count))} />
                  </span>
                </div>
                {selected.reasons.map(({ reason_code, count: times }) => (
                  <div key={reason_code} role="row" className={`${GRID} border-b border-line text-ink-2 hover:bg-panel`}>
                    <span role="rowheader" className="truncate pl-4">
                      <span aria-hidden="true" className="mr-1.5 text-ink-3">
                        └
                      </span>
                      <Link
                        to="/runs"
                        search={{ ...own, reason: [reason_code] }}
                        title="The runs with a decision of this type for this reason, whatever was selected"
                        className="font-mono text-12 hover:underline"
                      >
                        {reason_code}
                      </Link>
                    </span>
                    <span role="cell" className="max-md:hidden">
                      <ShareBar share={times / type.count} color="var(--line-strong)" label={shareText(times, type.count)} />
                    </span>
                    <span role="cell" className="text-right font-mono text-12">
                      {count(times)}
                    </span>
                    <span role="cell" className="text-right font-mono text-12 text-ink-3">
                      {shareText(times, selected.count)}
                    </span>
                    <span role="cell" className="max-md:hidden" />
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      </Section>
      <div className="flex flex-col lg:col-span-2 lg:border-t lg:border-line xl:col-span-1 xl:border-t-0">
        <Section
          title="Confidence"
          className="border-t-0 max-lg:border-t"
          aside={type.without_confidence > 0 ? `${count(type.without_confidence)} without one` : undefined}
        >
          {type.without_confidence === type.count ? (
            <p className="text-12 text-ink-2">No decision of this type has a confidence.</p>
          ) : (
            <Tenths label={`Confidence of ${type.decision_type} decisions, by tenths`} counts={type.confidence} height={150} />
          )}
        </Section>
        <Section title="Reasons" aside="of all decisions of this type">
          <ul>
            {type.reasons.map(({ reason_code, count: times }) => {
              const had = before?.reasons.find((one) => one.reason_code === reason_code);
              return (
                <li key={reason_code}>
                  <Link
                    to="/runs"
                    search={{ ...own, reason: [reason_code] }}
                    className="block border-b border-line py-1.5 hover:bg-panel"
                    aria-label={`Runs with the reason ${reason_code}`}
                  >
                    <span className="flex items-baseline gap-2">
                      <span className="truncate font-mono text-12">{reason_code}</span>
                      <span className="ml-auto font-mono text-12">{count(times)}</span>
                      <span className="w-14 text-right font-mono text-12 text-ink-3">{shareText(times, type.count)}</span>
                      <span className="w-16 text-right">
                        <ChangeText change={pointsChange(share(times, type.count), share(had?.count ?? 0, before?.count))} />
                      </span>
                    </span>
                    <ShareBar share={times / type.count} label={shareText(times, type.count)} />
                  </Link>
                </li>
              );
            })}
          </ul>
        </Section>
        <Section title="Where" className="max-lg:border-t">
          <Places filters={own} of={type.runs} />
        </Section>
      </div>
    </>
  );
}
