import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { apiFilter, FAILURE_TYPES, readFilter, readRun, readRuns, setFilters, SORTS, STATUSES, STEP_TYPES, type RunsSearch, toggleFilter, withoutFilters } from './filter.ts';
import { fromZoned, previousRange, rangeQuery, readRange, resolveRange } from './range.ts';
import { parseSearch, stringifySearch } from './search.ts';
import { dateTime } from '../format/index.ts';

const word = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => !text.includes('\ud800'));
const words = fc.uniqueArray(fc.oneof(word, fc.constantFrom('a b', 'a&b=c', '+', '%20', '"x"', '1', 'true')), { minLength: 1, maxLength: 4 });
const some = <T>(values: readonly T[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1 });
const optional = (model: Record<string, fc.Arbitrary<unknown>>) => fc.record(model, { requiredKeys: [] });

const runs: fc.Arbitrary<RunsSearch> = optional({
  q: word,
  agent: words,
  version: words,
  status: some(STATUSES),
  failure: some(FAILURE_TYPES),
  code: words,
  step_type: some(STEP_TYPES),
  retries: fc.constantFrom('true', 'false'),
  min_ms: fc.nat(),
  max_ms: fc.nat(),
  sort: fc.constantFrom(...SORTS),
  order: fc.constantFrom('asc', 'desc'),
  live: fc.constant(true),
  peek: word,
  pick: words,
});

describe('a query string', () => {
  it('says again what it was made of', () => {
    fc.assert(
      fc.property(runs, (search) => {
        expect(readRuns(parseSearch(stringifySearch(search)))).toEqual(search);
        // The router reads what it has read already.
        expect(readRuns(search)).toEqual(search);
      }),
    );
  });
  it('is the same again for a run page', () => {
    const page = optional({ step: fc.nat(), q: word, types: some(STEP_TYPES), t: fc.constantFrom('0..5', '1.5..2000') });
    fc.assert(
      fc.property(page, (search) => {
        expect(readRun(parseSearch(stringifySearch(search)))).toEqual(search);
      }),
    );
  });
  it('is never an error, whatever stands in it', () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.anything()), (text, raw) => {
        const once = readRuns(parseSearch(text));
        expect(readRuns(parseSearch(stringifySearch(once)))).toEqual(once);
        readRun(raw);
        readRange(raw);
        readFilter(raw);
      }),
    );
  });
  it('can be read by people', () => {
    expect(stringifySearch({ q: 'agent:a code:x', agent: ['a', 'b/c'], live: true, step: 5, none: undefined, empty: [] })).toBe(
      '?q=agent:a+code:x&agent=a&agent=b/c&live=1&step=5',
    );
    expect(stringifySearch({})).toBe('');
  });
  it('keeps no parameter that it does not understand', () => {
    expect(readRuns(parseSearch('?status=bogus&status=failure&sort=name&min_ms=-1&live=0&page=3&q='))).toEqual({ status: ['failure'] });
    expect(readRun(parseSearch('?step=-1&t=5..2&view=x&types=tool'))).toEqual({ types: ['tool'] });
  });
  it('takes names that objects have anyway for nothing', () => {
    expect(readRuns(parseSearch('?constructor=x&__proto__=y&toString=z'))).toEqual({});
  });
});

describe('filters', () => {
  it('are those of the API', () => {
    const search = readRuns(parseSearch('?agent=a&agent=b&env=dev&code=timeout&min_ms=5&sort=duration_ms&peek=x'));
    expect(apiFilter(search, { start: new Date(0), end: new Date(60_000) })).toEqual({
      start_time: '1970-01-01T00:00:00.000Z',
      end_time: '1970-01-01T00:00:59.999999Z',
      agent_id: ['a', 'b'],
      environment: ['dev'],
      failure_code: ['timeout'],
      min_duration_ms: 5,
    });
  });
  it('are there after one toggle and gone after two', () => {
    fc.assert(
      fc.property(runs, word, (search, value) => {
        fc.pre(search.agent?.includes(value) !== true);
        const once = toggleFilter(search, 'agent', value);
        expect(once.agent).toContain(value);
        expect(toggleFilter(once, 'agent', value)).toEqual({ ...search, agent: search.agent });
      }),
    );
    expect(toggleFilter({}, 'retries', 'true')).toEqual({ retries: 'true' });
    expect(toggleFilter({ retries: 'true' }, 'retries', 'true').retries).toBeUndefined();
    expect(toggleFilter({ status: ['failure'] }, 'status', 'partial').status).toEqual(['failure', 'partial']);
  });
  it('can be listed and taken away together', () => {
    const search = readRuns(parseSearch('?status=failure&agent=a&agent=b&sort=step_count&live=1'));
    expect(setFilters(search)).toEqual([
      { name: 'agent', values: ['a', 'b'] },
      { name: 'status', values: ['failure'] },
    ]);
    expect(withoutFilters(search)).toEqual({ sort: 'step_count', live: true });
  });
});

describe('a range', () => {
  const now = new Date('2026-11-22T09:14:03Z');
  const iso = ({ start, end }: { start?: Date; end?: Date }) => [start?.toISOString(), end?.toISOString()];
  it('is the last day when nothing is said', () => {
    expect(iso(resolveRange({}, now))).toEqual(['2026-11-21T09:15:00.000Z', '2026-11-22T09:15:00.000Z']);
  });
  it('moves on once a minute', () => {
    const at = (second: number) => iso(resolveRange({ from: '-15m' }, new Date(Date.UTC(2026, 0, 1, 0, 0, second))));
    expect(at(0)).toEqual(at(59));
    expect(at(60)).not.toEqual(at(59));
  });
  it('can be all, exact, or open', () => {
    expect(resolveRange({ from: 'all' }, now)).toEqual({});
    expect(iso(resolveRange({ from: '2026-11-22T09:00:00Z', to: '2026-11-22T10:00:00Z' }, now))).toEqual([
      '2026-11-22T09:00:00.000Z',
      '2026-11-22T10:00:00.000Z',
    ]);
    expect(iso(resolveRange({ from: '2026-11-22T09:00:00Z', to: '2026-11-22T08:00:00Z' }, now))).toEqual(['2026-11-22T09:00:00.000Z', undefined]);
  });
  it('has one of the same length before it', () => {
    const range = { start: new Date(60_000), end: new Date(90_000) };
    expect(previousRange(range)).toEqual({ start: new Date(30_000), end: new Date(60_000) });
    expect(previousRange({})).toBeUndefined();
    expect(previousRange({ start: new Date(0) })).toBeUndefined();
    // They meet and share nothing: the end of the API is inclusive.
    expect(rangeQuery({ start: new Date(30_000), end: new Date(60_000) }).end_time).toBe('1970-01-01T00:00:59.999999Z');
  });
  it('reads only what is one', () => {
    expect(readRange({ from: '-0h' })).toEqual({});
    expect(readRange({ from: '-90m', tz: 'Europe/Berlin' })).toEqual({ from: '-90m', tz: 'Europe/Berlin' });
    expect(readRange({ from: 'yesterday', to: 'x', tz: 'Mars/Olympus' })).toEqual({});
    expect(readRange({ from: '2026-11-22' })).toEqual({ from: '2026-11-22T00:00:00Z' });
  });
  it('takes times as the zone shows them', () => {
    const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kolkata');
    fc.assert(
      fc.property(fc.integer({ min: 946_684_800, max: 4_102_444_799 }), zones, (seconds, zone) => {
        const shown = dateTime(new Date(seconds * 1000), zone);
        const read = fromZoned(shown.replace(' ', 'T'), zone);
        // An hour that a clock shows twice is one of the two.
        expect(dateTime(read ?? '', zone)).toBe(shown);
      }),
    );
    expect(fromZoned('2026-11-22', 'UTC')).toBeUndefined();
  });
});
