import { useQueries, useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { facetsQuery } from '../../api/queries.ts';
import type { Facet } from '../../api/types.ts';
import type { PageRange } from '../../app/range.tsx';
import { count, shortCount } from '../../format/index.ts';
import { apiFilter, type FilterName, type FilterSearch } from '../../url/filter.ts';
import { cx } from '../../ui/class.ts';
import { Skeleton } from '../../ui/state.tsx';
import { useKept } from '../../parts/answer.tsx';
import { STATUS_SYMBOL } from '../../parts/marks.tsx';

const SHOWN: readonly { field: string; name: FilterName; title: string }[] = [
  { field: 'status', name: 'status', title: 'Status' },
  { field: 'agent_id', name: 'agent', title: 'Agent' },
  { field: 'agent_version', name: 'version', title: 'Version' },
  { field: 'environment', name: 'env', title: 'Environment' },
  { field: 'failure_code', name: 'code', title: 'Failure code' },
  { field: 'failure_type', name: 'failure', title: 'Failure type' },
  { field: 'has_retries', name: 'retries', title: 'Has retries' },
  { field: 'signal_code', name: 'signal', title: 'Signal' },
  { field: 'reason_code', name: 'reason', title: 'Decision reason' },
];
const FIRST = 6;
const MOST = 50;

/**
 * The values of filters with how many runs have each. A filter that is set is counted as if it were not, so that its other
 * values can be chosen too.
 */
export function Facets({ search, range, onToggle }: { search: FilterSearch; range: PageRange; onToggle: (name: FilterName, value: string) => void }) {
  const set = SHOWN.filter(({ name }) => search[name] !== undefined);
  const others = SHOWN.filter(({ name }) => search[name] === undefined);
  const open = useKept(useQuery(facetsQuery(apiFilter(search, range), others.map(({ field }) => field), MOST)));
  const own = useQueries({
    queries: set.map(({ field, name }) => facetsQuery(apiFilter({ ...search, [name]: undefined }, range), [field], MOST)),
  });
  const of = (field: string): Facet | undefined => {
    const at = set.findIndex((one) => one.field === field);
    const data = at === -1 ? open : own[at]?.data;
    return data?.facets.find((facet) => facet.field === field);
  };
  return (
    <div className="flex flex-col gap-4">
      {SHOWN.map(({ field, name, title }) => {
        const facet = of(field);
        const chosen = search[name];
        return (
          <FacetList
            key={field}
            title={title}
            field={field}
            facet={facet}
            chosen={(chosen === undefined ? [] : Array.isArray(chosen) ? chosen : [chosen]).map(String)}
            onToggle={(value) => onToggle(name, value)}
          />
        );
      })}
    </div>
  );
}

function FacetList({
  title,
  field,
  facet,
  chosen,
  onToggle,
}: {
  title: string;
  field: string;
  facet: Facet | undefined;
  chosen: readonly string[];
  onToggle: (value: string) => void;
}) {
  const [all, setAll] = useState(false);
  if (facet === undefined) {
    return (
      <div>
        <h3 className="mb-1 text-12 font-semibold text-ink-2">{title}</h3>
        <Skeleton className="my-2 h-2.5 w-32" />
        <Skeleton className="my-2 h-2.5 w-24" />
      </div>
    );
  }
  const values = [...facet.values];
  // What is chosen stays to be taken away, also when no run has it any more.
  for (const value of chosen) if (!values.some((one) => one.value === value)) values.push({ value, runs: 0 });
  if (values.length === 0) return null;
  const most = Math.max(1, ...values.map(({ runs }) => runs));
  const shown = all ? values : values.filter(({ value }, at) => at < FIRST || chosen.includes(value));
  return (
    <fieldset className="min-w-0">
      <legend className="mb-0.5 text-12 font-semibold text-ink-2">
        {title}
        {facet.distinct > 1 && <span className="ml-1 font-normal text-ink-3">{count(facet.distinct)}</span>}
      </legend>
      <ul>
        {shown.map(({ value, runs }) => {
          const on = chosen.includes(value);
          return (
            <li key={value}>
              <label
                className={cx(
                  'flex h-6 cursor-pointer items-center gap-1.5 rounded-sm bg-no-repeat px-1 text-12',
                  // A line as long as its share of the most frequent one.
                  'bg-[linear-gradient(var(--line-strong),var(--line-strong))] bg-bottom-left',
                  on ? 'bg-selection' : 'hover:bg-bg',
                )}
                style={{ backgroundSize: `${(100 * runs) / most}% 1px` }}
                title={value}
              >
                <input type="checkbox" checked={on} onChange={() => onToggle(value)} className="size-3 shrink-0 accent-(--accent)" />
                <span className="min-w-0 grow truncate">
                  {field === 'status' && <span aria-hidden="true">{STATUS_SYMBOL[value as keyof typeof STATUS_SYMBOL]} </span>}
                  {field === 'has_retries' ? (value === 'true' ? 'yes' : 'no') : value}
                </span>
                <span className="shrink-0 font-mono text-11 text-ink-2">{shortCount(runs)}</span>
              </label>
            </li>
          );
        })}
      </ul>
      {values.length > shown.length && (
        <button type="button" className="mt-0.5 px-1 text-12 text-accent hover:underline" onClick={() => setAll(true)}>
          {count(values.length - shown.length)} more
          <span className="sr-only"> of {title}</span>
        </button>
      )}
    </fieldset>
  );
}
