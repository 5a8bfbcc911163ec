/** What stands where no run matches: which filters there are, and what to do. */

import { Link } from '@tanstack/react-router';

import { useRange } from '../app/range.tsx';
import { dateTime } from '../format/index.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { Empty } from '../ui/state.tsx';
import { FILTER_LABELS, setFilters, type FilterName, type FilterSearch } from '../url/filter.ts';

export function Nothing({
  what = 'No runs',
  search,
  onClear,
  without = [],
  children,
}: {
  /** What there is none of. */
  what?: string;
  search: FilterSearch;
  onClear: () => void;
  without?: readonly FilterName[];
  children?: string;
}) {
  const range = useRange();
  const set = setFilters(search).filter(({ name }) => !without.includes(name));
  const names = set.map(({ name, values }) => `${FILTER_LABELS[name]} ${values.join(' or ')}`).join(', ');
  const times =
    range.start === undefined
      ? 'at any time'
      : range.end === undefined
        ? `since ${dateTime(range.start, range.zone)}`
        : `from ${dateTime(range.start, range.zone)} to ${dateTime(range.end, range.zone)}`;
  return (
    <Empty
      title={set.length > 0 ? `${what} with these filters` : `${what} in this time`}
      action={
        <>
          {set.length > 0 && <Button onClick={onClear}>Clear the filters</Button>}
          {range.start !== undefined && (
            <Link to="." search={(before) => ({ ...before, from: 'all', to: undefined })} className={buttonClass()}>
              Look at all times
            </Link>
          )}
        </>
      }
    >
      {children ?? `${what} ${set.length > 0 ? `with ${names}, ` : ''}${times}.`}
    </Empty>
  );
}
