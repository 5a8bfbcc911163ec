import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { pointsChange, relativeChange, shareText } from './index.ts';

describe('changes of counts and durations', () => {
  it.each([
    [112, 100, 'up', '+12 %', true],
    [104, 100, 'up', '+4 %', false],
    [71, 100, 'down', '−29 %', true],
    [0, 100, 'down', '−100 %', true],
    [1004, 1000, 'same', '0 %', false],
    [399, 100, 'up', '+299 %', true],
    [400, 100, 'up', '4.0×', true],
    [1730, 100, 'up', '17×', true],
  ])('%s after %s', (now, before, direction, text, notable) => expect(relativeChange(now, before)).toEqual({ direction, text, notable }));

  it.each([
    [5, 0],
    [5, undefined],
    [null, 5],
    [undefined, undefined],
  ])('%s after %s is no change that can be told', (now, before) => expect(relativeChange(now, before)).toBeUndefined());

  it('says the way that the numbers went', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 1, max: 1e9 }), (now, before) => {
        const change = relativeChange(now, before);
        if (change?.direction === 'up') expect(now).toBeGreaterThan(before);
        if (change?.direction === 'down') expect(now).toBeLessThan(before);
        if (change?.direction === 'same') expect(Math.abs(now - before) / before).toBeLessThan(0.006);
      }),
    );
  });
});

describe('changes of percentages', () => {
  it.each([
    [13.64, 2.12, 'up', '+11.5 pt', true],
    [2.38, 2.1, 'up', '+0.3 pt', false],
    [0, 1.7, 'down', '−1.7 pt', true],
    [2.02, 2, 'same', '0.0 pt', false],
  ])('%s after %s', (now, before, direction, text, notable) => expect(pointsChange(now, before)).toEqual({ direction, text, notable }));

  it('is not told where one of both is not known', () => {
    expect(pointsChange(null, 3)).toBeUndefined();
    expect(pointsChange(3, undefined)).toBeUndefined();
  });
});

describe('shares', () => {
  it.each([
    [1, 8, '12.5 %'],
    [0, 8, '0 %'],
    [8, 8, '100 %'],
    [0, 0, '—'],
  ])('%s of %s', (part, whole, text) => expect(shareText(part, whole)).toBe(text));
});
