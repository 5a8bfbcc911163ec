import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { align } from './align.ts';

const few = (size: number) => fc.array(fc.constantFrom('plan', 'tool', 'retrieve', 'respond', 'other'), { maxLength: size });

/** How long a longest common subsequence is, by the textbook. */
function longest(a: readonly string[], b: readonly string[]): number {
  let before = new Array<number>(b.length + 1).fill(0);
  for (const key of a) {
    const row = [0];
    b.forEach((other, at) => row.push(key === other ? (before[at] ?? 0) + 1 : Math.max(before[at + 1] ?? 0, row[at] ?? 0)));
    before = row;
  }
  return before[b.length] ?? 0;
}

describe('an alignment', () => {
  it('has each element of both sides once, in order', () => {
    fc.assert(
      fc.property(few(120), few(120), (a, b) => {
        const pairs = align(a, b);
        expect(pairs.flatMap((pair) => pair.a ?? [])).toEqual(a.map((_, at) => at));
        expect(pairs.flatMap((pair) => pair.b ?? [])).toEqual(b.map((_, at) => at));
      }),
    );
  });
  it('puts only the same beside each other', () => {
    fc.assert(
      fc.property(few(120), few(120), (a, b) => {
        for (const pair of align(a, b)) {
          if (pair.a === undefined || pair.b === undefined) continue;
          expect(a[pair.a]).toBe(b[pair.b]);
        }
      }),
    );
  });
  it('puts as many beside each other as can be', () => {
    // Sizes about the 32 columns of a word, and several words.
    fc.assert(
      fc.property(few(150), few(150), (a, b) => {
        const both = align(a, b).filter((pair) => pair.a !== undefined && pair.b !== undefined);
        expect(both).toHaveLength(longest(a, b));
      }),
      { numRuns: 300 },
    );
  });
  it('finds again what was taken away', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 80 }), fc.array(fc.nat()), (keys, taken) => {
        const away = new Set(keys.length === 0 ? [] : taken.map((at) => at % keys.length));
        const left = keys.filter((_, at) => !away.has(at));
        const removed = align(keys, left).flatMap((pair) => (pair.b === undefined ? (pair.a ?? []) : []));
        expect(removed).toEqual([...away].sort((a, b) => a - b));
      }),
    );
  });
  it('puts what went before what came', () => {
    expect(align(['x', 'a', 'b', 'y'], ['x', 'c', 'd', 'y'])).toEqual([
      { a: 0, b: 0 },
      { a: 1, b: undefined },
      { a: 2, b: undefined },
      { a: undefined, b: 1 },
      { a: undefined, b: 2 },
      { a: 3, b: 3 },
    ]);
  });
  it('stands two runs of 10,000 steps that are nowhere alike for long', () => {
    // What only one side has is of no use to the other, so what both have is the longest that they can have in common.
    const both = Array.from({ length: 5000 }, (_, at) => `tool ${(at * at) % 13}`);
    const side = (name: string) => both.flatMap((key, at) => (at % 3 === 1 ? [key] : [key, `${name} ${at}`, key === 'tool 1' ? `${name} again` : key]));
    const [a, b] = [side('a').slice(0, 10_000), side('b').slice(0, 10_000)];
    const pairs = align(a, b).filter((pair) => pair.a !== undefined && pair.b !== undefined);
    expect(pairs).toHaveLength(a.filter((key) => !key.startsWith('a ')).length);
  });
});
