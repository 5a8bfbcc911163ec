import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { lineValue, partAt, replacePart } from './search-line.ts';

/** The line with the caret at `|`. */
function at(text: string) {
  const caret = text.indexOf('|');
  const line = text.replace('|', '');
  const part = partAt(line, caret);
  return { ...part, replaced: line.slice(part.start, part.end) };
}

describe('the part of a search line at the caret', () => {
  it.each([
    ['|', undefined, '', ''],
    ['ag|', undefined, 'ag', 'ag'],
    ['-ag|ent', undefined, 'ag', 'agent'],
    ['agent:sup|', 'agent', 'sup', 'sup'],
    ['-env:|dev code:x', 'env', '', 'dev'],
    ['env:dev co|', undefined, 'co', 'co'],
    ['env:dev,pro|d x', 'env', 'pro', 'prod'],
    ['step:"a b|c" x', 'step', 'a b', '"a bc"'],
    ['meta.region:e|', 'meta.region', 'e', 'e'],
    ['env:dev |', undefined, '', ''],
    ['"a word|', undefined, '"a word', '"a word'],
  ])('%s', (text, field, prefix, replaced) => {
    expect(at(text)).toMatchObject({ field, prefix, replaced });
  });

  it('is replaced and nothing else is', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), (line, place) => {
        const caret = place % (line.length + 1);
        const part = partAt(line, caret);
        expect(part.start).toBeLessThanOrEqual(caret);
        expect(part.end).toBeGreaterThanOrEqual(caret);
        const after = replacePart(line, part, 'X');
        expect(after.line.startsWith(line.slice(0, part.start))).toBe(true);
        expect(after.line.endsWith(line.slice(part.end))).toBe(true);
        expect(after.line.slice(part.start, after.caret)).toBe('X');
      }),
    );
  });
});

describe('a value in a search line', () => {
  it('stands in quotation marks where it would be read as something else', () => {
    expect(['timeout', 'a b', 'a,b', 'say "x"', '1.4*', '>5', '', '1..2'].map(lineValue)).toEqual([
      'timeout',
      '"a b"',
      '"a,b"',
      '"say \\"x\\""',
      '"1.4*"',
      '">5"',
      '""',
      '"1..2"',
    ]);
  });
});
