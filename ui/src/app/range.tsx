/** The time range and the zone of the page: read from the URL, changed there. */

import { useNavigate, useSearch } from '@tanstack/react-router';
import { CalendarClock } from 'lucide-react';
import { useMemo, useState } from 'react';

import { dateTime, offsetText, zoneLabel, type Zone } from '../format/index.ts';
import { fromZoned, PRESETS, rangeLabel, resolveRange, DEFAULT_FROM, type Range, type RangeSearch } from '../url/range.ts';
import { Button, buttonClass } from '../ui/button.tsx';
import { cx } from '../ui/class.ts';
import { SelectField, TextField } from '../ui/field.tsx';
import { Popover } from '../ui/popover.tsx';
import { lastTick, useNow } from './clock.ts';
import { localZone, preferences, usePreferences } from './preferences.ts';

/** The zone in which the page shows times: of the URL, else the one preferred. */
export function useZone(): Zone {
  const { tz } = useSearch({ from: '__root__' });
  const { zone } = usePreferences();
  return zoneOf(tz, zone);
}

const zoneOf = (tz: string | undefined, preferred: string): Zone => tz ?? (preferred === 'local' ? localZone() : preferred);

export interface PageRange extends Range {
  zone: Zone;
  /** The zone as the server takes it in `time_zone`. */
  time_zone: string;
  /** What the URL says. */
  search: RangeSearch;
}

/** The range of the page at this minute. It stays the same object until it means something else. */
export function useRange(): PageRange {
  const { from, to, tz } = useSearch({ from: '__root__' });
  const zone = useZone();
  const now = useNow();
  return useMemo(() => rangeOf({ from, to, tz }, zone, now), [from, to, tz, zone, now]);
}

function rangeOf(search: RangeSearch, zone: Zone, now: Date): PageRange {
  return { ...resolveRange(search, now), zone, time_zone: offsetText(now, zone), search };
}

/** The same for a page that is not there yet. */
export function rangeAhead({ from, to, tz }: RangeSearch): PageRange {
  return rangeOf({ from, to, tz }, zoneOf(tz, preferences().zone), lastTick());
}

/** How to change the range; it is a step of its own in the history. */
export function useSetRange(): (change: RangeSearch) => void {
  const navigate = useNavigate();
  return (change) => void navigate({ to: '.', search: (before) => ({ ...before, ...change }) });
}

/** Sets a range of two times. */
export function brushed(start: Date, end: Date): RangeSearch {
  const text = (time: Date) => time.toISOString().replace('.000Z', 'Z');
  return { from: text(start), to: text(end) };
}

function describe(range: PageRange): string {
  const from = range.search.from ?? DEFAULT_FROM;
  if (from === 'all' || from.startsWith('-')) return rangeLabel(from);
  const start = dateTime(from, range.zone);
  if (range.search.to === undefined) return `since ${start}`;
  const end = dateTime(range.search.to, range.zone);
  return `${start} – ${end.slice(0, 10) === start.slice(0, 10) ? end.slice(11) : end}`;
}

/** Shows the range, and opens what changes it. */
export function RangePicker() {
  const range = useRange();
  const set = useSetRange();
  return (
    <Popover
      label="Time range"
      buttonLabel={`Time range: ${describe(range)} ${zoneLabel(new Date(), range.zone)}`}
      buttonClassName={buttonClass()}
      align="end"
      className="w-72"
      button={
        <>
          <CalendarClock size={14} aria-hidden="true" />
          {describe(range)}
          <span className="text-12 text-ink-3">{zoneLabel(new Date(), range.zone)}</span>
        </>
      }
    >
      {(close) => (
        <div className="flex flex-col gap-3">
          <div className="grid grid-cols-2 gap-1" role="group" aria-label="Presets">
            {PRESETS.map((preset) => (
              <button
                key={preset}
                type="button"
                aria-pressed={(range.search.from ?? DEFAULT_FROM) === preset}
                onClick={() => {
                  set({ from: preset === DEFAULT_FROM ? undefined : preset, to: undefined });
                  close();
                }}
                className={cx(
                  'h-7 rounded-md px-2 text-left text-13 hover:bg-panel',
                  (range.search.from ?? DEFAULT_FROM) === preset && 'bg-selection',
                )}
              >
                {rangeLabel(preset)}
              </button>
            ))}
          </div>
          <ExactRange range={range} close={close} />
          <SelectField
            label="Times in"
            value={range.zone}
            options={[...new Set(['UTC', localZone(), range.zone])].map((zone) => ({ value: zone, label: zone }))}
            onChange={(zone) => set({ tz: zone })}
          />
        </div>
      )}
    </Popover>
  );
}

function ExactRange({ range, close }: { range: PageRange; close: () => void }) {
  const set = useSetRange();
  const field = (time: Date | undefined) => (time === undefined ? '' : dateTime(time, range.zone).replace(' ', 'T'));
  const [from, setFrom] = useState(field(range.start));
  const [to, setTo] = useState(field(range.end));
  const [start, end] = [fromZoned(from, range.zone), fromZoned(to, range.zone)];
  const wrong = start === undefined || end === undefined || end <= start;
  return (
    <form
      className="flex flex-col gap-2 border-t border-line pt-2"
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong) return;
        set(brushed(start, end));
        close();
      }}
    >
      <TextField label="From" type="datetime-local" step={1} value={from} onChange={(event) => setFrom(event.target.value)} />
      <TextField label="To" type="datetime-local" step={1} value={to} onChange={(event) => setTo(event.target.value)} />
      <Button type="submit" kind="primary" disabled={wrong}>
        Show this range
      </Button>
    </form>
  );
}
