/** One signal: how often it is observed over time, and where. */

import { Link } from '@tanstack/react-router';

import type { Signals } from '../../api/types.ts';
import { useRange } from '../../app/range.tsx';
import { Lines } from '../../charts/lines.tsx';
import { count, counted, percent, shareText } from '../../format/index.ts';
import { Places } from '../../parts/places.tsx';
import { Facts, Side, SidePart } from '../../parts/side.tsx';
import { ToneWord } from '../../parts/tone.tsx';
import { buttonClass } from '../../ui/button.tsx';
import type { FilterSearch } from '../../url/filter.ts';
import { rateOverTime, type SignalRow } from './rows.ts';

export function signalFilter(filters: FilterSearch, row: SignalRow): FilterSearch {
  return { ...filters, signal_type: [row.type], signal: [row.code], signal_value: row.value ? 'true' : 'false' };
}

export function SignalPanel({
  row,
  data,
  runsBefore,
  filters,
  onClose,
}: {
  row: SignalRow;
  data: Signals;
  /** The share of the range before, in percent. */
  runsBefore: number | undefined;
  filters: FilterSearch;
  onClose: () => void;
}) {
  const range = useRange();
  const own = signalFilter(filters, row);
  const points = rateOverTime(data.timeline?.buckets ?? [], row);
  return (
    <Side
      label={`${row.type} ${row.code} ${row.value ? 'true' : 'false'}`}
      title={
        <>
          {row.type} <span className="font-normal text-ink-2">/ {row.code}</span>
        </>
      }
      subtitle={
        <span className="inline-flex items-center gap-2">
          <ToneWord attention={row.attention} />
          <span className="font-mono">= {row.value ? 'true' : 'false'}</span>
        </span>
      }
      onClose={onClose}
    >
      <div className="mb-4">
        <Link to="/runs" search={own} className={buttonClass()}>
          All {counted(row.runs, 'run')}
        </Link>
      </div>
      <SidePart title="Share of the runs over time">
        <Lines
          label={`Share of the runs with ${row.type}/${row.code} over time`}
          series={[{ name: 'share of runs', color: row.attention ? 'var(--failure)' : 'var(--success)', dashed: false }]}
          points={points}
          zone={range.zone}
          height={120}
          format={percent}
        />
      </SidePart>
      <SidePart title="In this time">
        <Facts
          facts={[
            ['Runs with it', count(row.runs)],
            ['Share of all runs', shareText(row.runs, data.total_runs)],
            ['In the range before', percent(runsBefore)],
            ['Signals', count(row.count)],
            ['A run that has it', `${(row.count / Math.max(1, row.runs)).toFixed(1)} on average`],
          ]}
        />
      </SidePart>
      <Places filters={own} of={row.runs} />
    </Side>
  );
}
