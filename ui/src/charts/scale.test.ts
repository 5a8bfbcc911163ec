import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { labelled, linePath, linear, niceMax } from './scale.ts';

describe('scales', () => {
  it('have a round top that holds everything', () => {
    expect(niceMax(0)).toEqual({ max: 1, ticks: [0, 1] });
    expect(niceMax(7, 2)).toEqual({ max: 10, ticks: [0, 5, 10] });
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e12, noNaN: true }), fc.integer({ min: 1, max: 6 }), (value, wanted) => {
        const { max, ticks } = niceMax(value, wanted);
        expect(max).toBeGreaterThanOrEqual(value * (1 - 1e-9));
        expect(ticks.at(-1)).toBe(max);
        expect(ticks.length).toBeLessThanOrEqual(wanted + 1);
      }),
    );
  });
  it('map ends to ends', () => {
    const x = linear(10, 20, 0, 100);
    expect([x(10), x(15), x(20)]).toEqual([0, 50, 100]);
    expect(linear(5, 5, 3, 9)(5)).toBe(3);
  });
  it('leave room between labels', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 10, max: 2000 }), (count, width) => {
        const at = labelled(count, width, 70);
        expect(at[0]).toBe(0);
        for (let index = 1; index < at.length; index++) {
          expect((((at[index] ?? 0) - (at[index - 1] ?? 0)) * width) / count).toBeGreaterThanOrEqual(70 - 1e-9);
        }
      }),
    );
  });
  it('draw a gap where there is no number', () => {
    const x = (at: number) => at;
    expect(linePath([1, 2, null, 3, null], x, (y) => y)).toBe('M0.0 1.0L1.0 2.0M3.0 3.0h0.01');
  });
});
