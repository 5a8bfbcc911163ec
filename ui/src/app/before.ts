/** The range before the page's range, as long as it: what changes are measured against. */

import { previousRange } from '../url/range.ts';
import { apiFilter, type ApiFilter, type FilterSearch } from '../url/filter.ts';
import { useRange } from './range.tsx';

/** The same question about the range before; `undefined` where there is none, as of all times. */
export function useBefore(search: FilterSearch): ApiFilter | undefined {
  const before = previousRange(useRange());
  return before === undefined ? undefined : apiFilter(search, before);
}
