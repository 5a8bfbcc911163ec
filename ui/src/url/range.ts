/**
 * The time range of all pages: `from` and `to` of the URL, and the times that they mean at a moment.
 *
 * - nothing: the last 24 hours
 * - `from=-1h`: up to now, moving on with the clock
 * - `from=2026-11-22T09:00:00Z&to=2026-11-22T10:00:00Z`: from the first time up to, and not including, the second
 * - `from=all`: everything there is
 */

import { reader, text, type Param, type SearchOf } from './search.ts';
import { isZone, offsetMinutes } from '../format/time.ts';

/** The presets, in the order in which they are offered. */
export const PRESETS = ['-15m', '-1h', '-6h', '-24h', '-7d', '-30d', 'all'] as const;
export const DEFAULT_FROM = '-24h';

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const RELATIVE = /^-(\d{1,4})([mhd])$/;

const time: Param<string> = (raw) => {
  const value = text(raw);
  if (value === undefined || !/^\d{4}-\d\d-\d\d/.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString().replace('.000Z', 'Z');
};

const from: Param<string> = (raw) => {
  const value = text(raw);
  return value === 'all' || (value !== undefined && relativeMs(value) !== undefined) ? value : time(raw);
};

const zone: Param<string> = (raw) => {
  const value = text(raw);
  return value !== undefined && isZone(value) ? value : undefined;
};

/** The parameters that every page has. */
export const rangeParams = { from, to: time, tz: zone };
export const readRange = reader(rangeParams);
export type RangeSearch = SearchOf<typeof rangeParams>;

function relativeMs(value: string): number | undefined {
  const found = RELATIVE.exec(value);
  const size = Number(found?.[1]) * (UNITS[found?.[2] ?? ''] ?? NaN);
  return size > 0 ? size : undefined;
}

/** A range of times, half open. Without a start and an end it is everything. */
export interface Range {
  start?: Date;
  end?: Date;
}

/**
 * What the range means at `now`. One that moves begins and ends on a whole minute, so that questions about it stay the
 * same, and can be answered from the cache, for that long.
 */
export function resolveRange(search: RangeSearch, now: Date): Range {
  const from = search.from ?? DEFAULT_FROM;
  if (from === 'all') return {};
  const size = relativeMs(from);
  if (size !== undefined) {
    const end = (Math.floor(now.getTime() / 60_000) + 1) * 60_000;
    return { start: new Date(end - size), end: new Date(end) };
  }
  const start = new Date(from);
  const end = search.to === undefined ? undefined : new Date(search.to);
  return end === undefined || end <= start ? { start } : { start, end };
}

/** The range of the same length right before; none of everything, and none of one that has no end. */
export function previousRange({ start, end }: Range): Range | undefined {
  if (start === undefined || end === undefined) return undefined;
  return { start: new Date(2 * start.getTime() - end.getTime()), end: start };
}

/** A range as the API takes it: its end is inclusive there, to the microsecond. */
export function rangeQuery({ start, end }: Range): { start_time?: string; end_time?: string } {
  return {
    ...(start === undefined ? {} : { start_time: start.toISOString() }),
    ...(end === undefined ? {} : { end_time: new Date(end.getTime() - 1).toISOString().replace('Z', '999Z') }),
  };
}

/** The name of a preset. */
export function rangeLabel(from: string): string {
  if (from === 'all') return 'All time';
  const found = RELATIVE.exec(from);
  const names: Record<string, string> = { m: 'minute', h: 'hour', d: 'day' };
  const number = Number(found?.[1]);
  const unit = names[found?.[2] ?? ''] ?? '';
  return number === 1 ? `Last ${unit}` : `Last ${number} ${unit}s`;
}

/** Whether the range moves on with the clock. */
export function isMoving(search: RangeSearch): boolean {
  return relativeMs(search.from ?? DEFAULT_FROM) !== undefined;
}

/** The instant at which the clock of a zone shows `2026-11-22T09:14` or `…:03`; `undefined` for anything else. */
export function fromZoned(shown: string, zone: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(shown)) return undefined;
  const asUtc = Date.parse(`${shown}Z`);
  if (Number.isNaN(asUtc)) return undefined;
  // The offset of the instant is not known before the instant is; about a change of clocks the second try is right.
  const guess = new Date(asUtc - offsetMinutes(new Date(asUtc), zone) * 60_000);
  return new Date(asUtc - offsetMinutes(guess, zone) * 60_000);
}
