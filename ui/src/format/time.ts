/**
 * Times as people read them. The one formatter of times: everything that shows one takes it from here, in the zone of
 * the page.
 */

/** A time zone as `Intl` knows it: `UTC`, or a name such as `Europe/Berlin`. */
export type Zone = string;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (found === undefined) {
    found = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hourCycle: 'h23', ...options });
    formats.set(key, found);
  }
  return found;
}

/** Whether `Intl` knows this zone. */
export function isZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: text });
    return true;
  } catch {
    return false;
  }
}

interface Parts {
  year: string;
  month: string;
  day: string;
  hour: string;
  minute: string;
  second: string;
}

const ALL: Intl.DateTimeFormatOptions = {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
};

const two = (number: number) => String(number).padStart(2, '0');

function parts(time: Date, zone: Zone): Parts {
  // Most pages show UTC, and many times of it; `Intl` takes long for each, and longest for the first.
  if (zone === 'UTC') {
    return {
      year: String(time.getUTCFullYear()),
      month: two(time.getUTCMonth() + 1),
      day: two(time.getUTCDate()),
      hour: two(time.getUTCHours()),
      minute: two(time.getUTCMinutes()),
      second: two(time.getUTCSeconds()),
    };
  }
  const found: Parts = { year: '', month: '', day: '', hour: '', minute: '', second: '' };
  for (const { type, value } of format(zone, ALL).formatToParts(time)) {
    if (type in found) found[type as keyof Parts] = value;
  }
  return found;
}

/** How far a zone's clock is ahead of UTC at a time, in minutes. */
export function offsetMinutes(time: Date, zone: Zone): number {
  if (zone === 'UTC') return 0;
  const { year, month, day, hour, minute, second } = parts(time, zone);
  const shown = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return Math.round((shown - Math.floor(time.getTime() / 1000) * 1000) / 60_000);
}

/** The offset as the server takes it in `time_zone`: `UTC`, `+02:00`, `-03:30`. */
export function offsetText(time: Date, zone: Zone): string {
  const minutes = offsetMinutes(time, zone);
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** The name of a zone beside a time: `UTC`, or its offset. */
export function zoneLabel(time: Date, zone: Zone): string {
  const offset = offsetText(time, zone);
  return zone === 'UTC' || offset === 'UTC' ? 'UTC' : `UTC${offset}`;
}

/** `2026-11-22 09:14:03` */
export function dateTime(time: string | Date, zone: Zone): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '—';
  const { year, month, day, hour, minute, second } = parts(date, zone);
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

/** `2026-11-22 09:14:03.120 UTC`: where the exact time matters. */
export function exactTime(time: string | Date, zone: Zone): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '—';
  const fraction = typeof time === 'string' ? (/\.(\d+)/.exec(time)?.[1] ?? '') : '';
  return `${dateTime(date, zone)}${fraction === '' ? '' : `.${fraction}`} ${zoneLabel(date, zone)}`;
}

/** `09:14:03`, with the day in front when it is not that of `today`. */
export function clock(time: string | Date, zone: Zone, today: Date): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '—';
  const shown = parts(date, zone);
  const now = parts(today, zone);
  const hours = `${shown.hour}:${shown.minute}:${shown.second}`;
  if (shown.year === now.year && shown.month === now.month && shown.day === now.day) return hours;
  const day = `${shown.month}-${shown.day}`;
  return shown.year === now.year ? `${day} ${hours}` : `${shown.year}-${day} ${hours}`;
}

/** The label of a tick on an axis whose ticks are `stepMs` apart. */
export function tickTime(time: Date, zone: Zone, stepMs: number): string {
  const { year, month, day, hour, minute, second } = parts(time, zone);
  if (stepMs >= 300 * 86_400_000) return year;
  if (stepMs >= 28 * 86_400_000) return `${year}-${month}`;
  if (stepMs >= 86_400_000 || (hour === '00' && minute === '00' && second === '00')) return `${month}-${day}`;
  if (stepMs >= 60_000) return `${hour}:${minute}`;
  return `${hour}:${minute}:${second}`;
}

/** `3 min ago`; the largest unit alone, since more is not known at a glance. */
export function ago(time: string | Date, now: Date): string {
  const seconds = Math.round((now.getTime() - new Date(time).getTime()) / 1000);
  if (Number.isNaN(seconds)) return '—';
  const size = Math.abs(seconds);
  const text =
    size < 60
      ? `${size} s`
      : size < 3600
        ? `${Math.floor(size / 60)} min`
        : size < 86_400
          ? `${Math.floor(size / 3600)} h`
          : `${Math.floor(size / 86_400)} d`;
  return seconds < 0 ? `in ${text}` : `${text} ago`;
}
