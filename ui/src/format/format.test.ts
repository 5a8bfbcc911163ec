import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  ago,
  bytes,
  clock,
  count,
  counted,
  dateTime,
  duration,
  durationTicks,
  exactTime,
  offsetText,
  percent,
  shortCount,
  tickDuration,
  tickTime,
  total,
} from './index.ts';

describe('durations', () => {
  it.each([
    [0, '0 ms'],
    [65, '65 ms'],
    [999.6, '1000 ms'],
    [1000, '1.00 s'],
    [1240, '1.24 s'],
    [9994, '9.99 s'],
    [40_600, '40.6 s'],
    [59_994, '60.0 s'],
    [59_995, '1 m 00 s'],
    [513_000, '8 m 33 s'],
    [3_599_600, '1 h 00 m'],
    [3_600_000, '1 h 00 m'],
    [90_000_000, '1 d 01 h'],
    [-1500, '−1.50 s'],
    [null, '—'],
    [Number.NaN, '—'],
  ])('%s ms is %s', (ms, text) => expect(duration(ms)).toBe(text));

  it('never shows a small unit that is full', () => {
    fc.assert(
      fc.property(fc.integer({ min: 60_000, max: 1e12 }), (ms) => {
        const [, small, unit] = /(\d+) ([smh])$/.exec(duration(ms)) ?? [];
        expect(Number(small)).toBeLessThan(unit === 'h' ? 24 : 60);
      }),
    );
  });

  it('grows with what it says', () => {
    const size = (text: string) =>
      [...text.matchAll(/([\d.]+) (ms|s|m|h|d)/g)].reduce(
        (sum, [, number, unit]) => sum + Number(number) * ({ ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[unit ?? ''] ?? NaN),
        0,
      );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e10 }), (ms) => {
        expect(Math.abs(size(duration(ms)) - ms)).toBeLessThanOrEqual(Math.max(0.5, ms * 0.021));
      }),
    );
  });

  it('has round ticks that are all in the range and can be told apart', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e8 }), fc.double({ min: 1, max: 1e8, noNaN: true }), (start, size) => {
        const { at, step } = durationTicks(start, start + size, 5);
        expect(at.length).toBeLessThanOrEqual(6);
        for (const tick of at) expect(tick >= start - 1e-6 && tick < start + size).toBe(true);
        if (step >= 1) expect(new Set(at.map((tick) => tickDuration(tick, step))).size).toBe(at.length);
      }),
    );
    expect([495_000, 500_000].map((tick) => tickDuration(tick, 5000))).toEqual(['8 m 15 s', '8 m 20 s']);
    expect(tickDuration(0, 100_000)).toBe('0');
    expect(tickDuration(60_200, 200)).toBe('1 m 00.2 s');
  });
});

describe('numbers', () => {
  it.each([
    [0, '0'],
    [12_345, '12,345'],
    [null, '—'],
  ])('counts %s as %s', (number, text) => expect(count(number)).toBe(text));
  it.each([
    [999, '999'],
    [1234, '1.23k'],
    [12_345, '12.3k'],
    [999_400, '999k'],
    [999_960, '1.00M'],
    [4_560_000, '4.56M'],
    [1e12, '1.00T'],
  ])('shortens %s to %s', (number, text) => expect(shortCount(number)).toBe(text));
  it.each([
    [0, '0 %'],
    [0.04, '< 0.1 %'],
    [-0.04, '−< 0.1 %'],
    [12.34, '12.3 %'],
    [-3, '−3 %'],
    [99.97, '100 %'],
    [undefined, '—'],
  ])('%s percent is %s', (number, text) => expect(percent(number)).toBe(text));
  it.each([
    [0, '0 B'],
    [1023, '1,023 B'],
    [1024, '1.0 KiB'],
    [1_048_570, '1.0 MiB'],
    [5 * 2 ** 30, '5.0 GiB'],
  ])('%s bytes are %s', (number, text) => expect(bytes(number)).toBe(text));
  it('says when a total is not exact', () => {
    expect(total({ count: 1204, exact: true })).toBe('1,204');
    expect(total({ count: 100_000, exact: false })).toBe('at least 100,000');
    expect([counted(1, 'step'), counted(2, 'step'), counted(0, 'match', 'matches')]).toEqual(['1 step', '2 steps', '0 matches']);
  });
});

describe('times', () => {
  it('are shown in the zone', () => {
    const time = '2026-11-22T09:14:03.120500Z';
    expect(dateTime(time, 'UTC')).toBe('2026-11-22 09:14:03');
    expect(dateTime(time, 'Asia/Kolkata')).toBe('2026-11-22 14:44:03');
    expect(exactTime(time, 'Asia/Kolkata')).toBe('2026-11-22 14:44:03.120500 UTC+05:30');
    expect(exactTime('2026-11-22T00:00:00Z', 'UTC')).toBe('2026-11-22 00:00:00 UTC');
    expect(dateTime('never', 'UTC')).toBe('—');
  });
  it('know the offset of a zone, also where clocks change', () => {
    expect(offsetText(new Date('2026-07-01T00:00:00Z'), 'Europe/Berlin')).toBe('+02:00');
    expect(offsetText(new Date('2026-12-01T00:00:00Z'), 'Europe/Berlin')).toBe('+01:00');
    expect(offsetText(new Date('2026-12-01T00:00:00.999Z'), 'America/St_Johns')).toBe('-03:30');
    expect(offsetText(new Date(), 'UTC')).toBe('UTC');
  });
  it('leave the day out on the day itself', () => {
    const today = new Date('2026-11-22T12:00:00Z');
    expect(clock('2026-11-22T09:14:03Z', 'UTC', today)).toBe('09:14:03');
    expect(clock('2026-11-21T09:14:03Z', 'UTC', today)).toBe('11-21 09:14:03');
    expect(clock('2025-11-21T09:14:03Z', 'UTC', today)).toBe('2025-11-21 09:14:03');
  });
  it('have ticks as fine as their step', () => {
    const noon = new Date('2026-11-22T12:00:00Z');
    expect([1000, 60_000, 86_400_000, 30 * 86_400_000].map((step) => tickTime(noon, 'UTC', step))).toEqual([
      '12:00:00',
      '12:00',
      '11-22',
      '2026-11',
    ]);
    expect(tickTime(new Date('2026-11-22T00:00:00Z'), 'UTC', 3_600_000)).toBe('11-22');
  });
  it('tell how long ago something was', () => {
    const now = new Date('2026-11-22T12:00:00Z');
    const before = (seconds: number) => ago(new Date(now.getTime() - seconds * 1000), now);
    expect([5, 60, 3599, 7200, 200_000, -30].map(before)).toEqual(['5 s ago', '1 min ago', '59 min ago', '2 h ago', '2 d ago', 'in 30 s']);
  });
});
