/** Narrows a page to an agent, a version and an environment, and shows the other filters that its URL holds. */

import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';

import { facetsQuery } from '../api/queries.ts';
import { useRange } from '../app/range.tsx';
import { RemovableChip } from '../ui/chip.tsx';
import { SelectField } from '../ui/field.tsx';
import { FILTER_LABELS, readFilter, setFilters, toggleFilter, type FilterName, type FilterSearch, withoutFilters } from '../url/filter.ts';
import { rangeQuery } from '../url/range.ts';

const SELECTS = [
  { name: 'agent', field: 'agent_id', all: 'All agents' },
  { name: 'version', field: 'agent_version', all: 'All versions' },
  { name: 'env', field: 'environment', all: 'All environments' },
] as const;

/** How a page sets the filters of its URL: a step of its own in the history. What else stands in the URL stays. */
export function useSetFilters(): (filters: FilterSearch) => void {
  const navigate = useNavigate();
  return (filters) => void navigate({ to: '.', search: (before) => ({ ...withoutFilters(before as FilterSearch), ...filters }) });
}

/** How many values a list offers; the page of runs can ask for any. */
const OFFERED = 200;

export function Narrow({
  search,
  onChange,
  without = [],
}: {
  search: FilterSearch;
  onChange: (filters: FilterSearch) => void;
  /** Filters that the page itself shows, or that do not make sense on it. */
  without?: readonly FilterName[];
}) {
  const range = useRange();
  const narrowed = { ...rangeQuery(range), ...(search.agent === undefined ? {} : { agent_id: search.agent }) };
  const all = useQuery(facetsQuery(rangeQuery(range), ['agent_id', 'environment'], OFFERED));
  const versions = useQuery({ ...facetsQuery(narrowed, ['agent_version'], OFFERED), enabled: search.agent !== undefined || search.version !== undefined });
  const values = (field: string) =>
    [...(all.data?.facets ?? []), ...(versions.data?.facets ?? [])].find((facet) => facet.field === field)?.values.map(({ value }) => value) ?? [];
  const filters = readFilter({ ...search });
  const others = setFilters(search).filter(({ name }) => !without.includes(name) && !SELECTS.some((select) => select.name === name));
  return (
    <>
      {SELECTS.filter(({ name }) => !without.includes(name) && (name !== 'version' || search.agent !== undefined || search.version !== undefined)).map(
        ({ name, field, all: allLabel }) => {
          const chosen = search[name] ?? [];
          const several = chosen.length > 1;
          const options = [...new Set([...values(field), ...chosen])].map((value) => ({ value, label: value }));
          return (
            <div key={name} className="max-w-48 min-w-0">
              <SelectField
                label={FILTER_LABELS[name]}
                hideLabel
                value={several ? 'several' : (chosen[0] ?? '')}
                options={[
                  { value: '', label: allLabel },
                  ...(several ? [{ value: 'several', label: chosen.join(', ') }] : []),
                  ...options,
                ]}
                onChange={(value) => {
                  if (value === 'several') return;
                  const change = { ...filters, [name]: value === '' ? undefined : [value] };
                  // Versions are those of an agent.
                  onChange(name === 'agent' ? { ...change, version: undefined } : change);
                }}
              />
            </div>
          );
        },
      )}
      {others.flatMap(({ name, values }) =>
        values.map((value) => (
          <RemovableChip
            key={`${name} ${value}`}
            label={`${FILTER_LABELS[name]} ${value}`}
            onRemove={() => onChange({ ...filters, [name]: toggleFilter(filters, name, value)[name] })}
          >
            <span className="text-ink-2">{FILTER_LABELS[name]}</span> {value}
          </RemovableChip>
        )),
      )}
    </>
  );
}
