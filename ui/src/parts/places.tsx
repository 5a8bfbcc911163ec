/** Where the runs that meet a filter are: by agent, version and environment. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { facetsQuery } from '../api/queries.ts';
import { useRange } from '../app/range.tsx';
import { ShareBar } from '../charts/share-bar.tsx';
import { count, shareText } from '../format/index.ts';
import { Skeleton } from '../ui/state.tsx';
import { apiFilter, FILTER_LABELS, type FilterName, type FilterSearch } from '../url/filter.ts';
import { Answer } from './answer.tsx';
import { SidePart } from './side.tsx';

const PLACES = { agent_id: 'agent', agent_version: 'version', environment: 'env' } as const satisfies Record<string, FilterName>;
/** How many of each are shown: those with the most runs. */
const SHOWN = 6;

export function Places({ filters, of }: { filters: FilterSearch; /** How many runs there are. */ of: number }) {
  const range = useRange();
  const facets = useQuery(facetsQuery(apiFilter(filters, range), Object.keys(PLACES), SHOWN));
  return (
    <Answer query={facets} loading={<Skeleton className="h-40 w-full" />}>
      {(found) => (
        <>
          {found.facets.map((facet) => {
            const name = PLACES[facet.field as keyof typeof PLACES];
            return (
              <SidePart
                key={facet.field}
                title={`By ${FILTER_LABELS[name]}`}
                aside={facet.distinct > facet.values.length ? `${facet.values.length} of ${count(facet.distinct)}` : 'runs'}
              >
                <ul>
                  {facet.values.map(({ value, runs }) => (
                    <li key={value} className="grid h-7 grid-cols-[minmax(0,150px)_1fr_48px_60px] items-center gap-2">
                      <Link to="/runs" search={{ ...filters, [name]: [value] }} className="truncate hover:underline">
                        {value}
                      </Link>
                      <ShareBar share={runs / Math.max(1, of)} label={`${count(runs)} runs`} />
                      <span className="text-right font-mono text-12">{count(runs)}</span>
                      <span className="text-right font-mono text-12 text-ink-3">{shareText(runs, of)}</span>
                    </li>
                  ))}
                </ul>
              </SidePart>
            );
          })}
        </>
      )}
    </Answer>
  );
}
