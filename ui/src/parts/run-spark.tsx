/** Runs over the range of the page that meet a filter, small, for a row of a table. */

import { useQuery } from '@tanstack/react-query';

import { histogramQuery } from '../api/queries.ts';
import { useRange } from '../app/range.tsx';
import { SparkBars } from '../charts/spark-bars.tsx';
import { useSeen } from '../ui/seen.ts';
import { apiFilter, type FilterSearch } from '../url/filter.ts';

const BUCKETS = 30;

export function RunSpark({ label, filter, width = 112 }: { label: string; filter: FilterSearch; width?: number }) {
  const range = useRange();
  const [box, seen] = useSeen();
  const { data } = useQuery({ ...histogramQuery({ ...apiFilter(filter, range), buckets: BUCKETS, time_zone: range.time_zone }), enabled: seen });
  return (
    <span ref={box}>
      <SparkBars label={label} values={(data?.buckets ?? []).map(({ runs }) => runs)} width={width} />
    </span>
  );
}
