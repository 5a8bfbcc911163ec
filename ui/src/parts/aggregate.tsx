/** What the pages of aggregates have in common: a head with filters, and under it the answer, or that there is nothing. */

import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';

import { PageHeader } from '../app/shell.tsx';
import { SkeletonRows } from '../ui/state.tsx';
import type { FilterName, FilterSearch } from '../url/filter.ts';
import { Answer } from './answer.tsx';
import { Narrow, useSetFilters } from './narrow.tsx';
import { Nothing } from './nothing.tsx';

export function AggregatePage<T>({
  title,
  filters,
  without,
  query,
  what,
  hasRuns,
  empty,
  children,
}: {
  title: string;
  filters: FilterSearch;
  /** Filters that mean nothing here. */
  without?: readonly FilterName[];
  query: Pick<UseQueryResult<T>, 'data' | 'error' | 'refetch'>;
  /** What there is none of where no run was. */
  what?: string;
  hasRuns: (data: T) => boolean;
  /** What is said where there were runs, and none of them with what the page is about. */
  empty?: (data: T) => ReactNode;
  children: (data: T) => ReactNode;
}) {
  const setFilters = useSetFilters();
  const nothing = (data: T) => (hasRuns(data) ? empty?.(data) : <Nothing what={what} search={filters} onClear={() => setFilters({})} />);
  return (
    <>
      <PageHeader title={title}>
        <Narrow search={filters} onChange={setFilters} without={without} />
      </PageHeader>
      <Answer query={query} loading={<SkeletonRows rows={18} />}>
        {(data) => {
          const said = nothing(data);
          return said === undefined ? children(data) : <div className="border-t border-line">{said}</div>;
        }}
      </Answer>
    </>
  );
}
