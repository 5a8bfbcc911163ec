/** The filters that are set, each to be taken away: for every page that is about runs. */

import { Button } from '../ui/button.tsx';
import { RemovableChip } from '../ui/chip.tsx';
import { FILTER_LABELS, setFilters, type FilterName, type FilterSearch } from '../url/filter.ts';

export function FilterChips({
  search,
  onRemove,
  onClear,
  without = [],
}: {
  search: FilterSearch;
  onRemove: (name: FilterName, value: string) => void;
  onClear: () => void;
  /** Filters that are shown elsewhere on the page. */
  without?: readonly FilterName[];
}) {
  const set = setFilters(search).filter(({ name }) => !without.includes(name));
  if (set.length === 0) return null;
  return (
    <div role="group" aria-label="Filters" className="flex flex-wrap items-center gap-1.5">
      {set.flatMap(({ name, values }) =>
        values.map((value) => (
          <RemovableChip key={`${name} ${value}`} label={`${FILTER_LABELS[name]} ${value}`} onRemove={() => onRemove(name, value)}>
            <span className="text-ink-2">{FILTER_LABELS[name]}</span> {value}
          </RemovableChip>
        )),
      )}
      <Button kind="quiet" small onClick={onClear}>
        Clear all
      </Button>
    </div>
  );
}
