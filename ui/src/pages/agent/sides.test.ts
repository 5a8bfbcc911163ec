import { describe, expect, it } from 'vitest';

import type { Version } from '../../api/types.ts';
import { sidesOf, togglePick } from './sides.ts';

const version = (agent_version: string) => ({ agent_version }) as Version;
const VERSIONS = ['2.4.1', '2.4.0', '2.3.9'].map(version);
const names = (picked: string[], versions = VERSIONS) => {
  const { base, candidate } = sidesOf(versions, picked);
  return [base?.agent_version, candidate?.agent_version];
};

describe('the versions side by side', () => {
  it.each([
    [[], ['2.4.0', '2.4.1']],
    [['2.3.9', '2.4.1'], ['2.3.9', '2.4.1']],
    [['2.4.1', '2.3.9'], ['2.3.9', '2.4.1']],
    [['2.3.9'], ['2.3.9', '2.4.1']],
    [['gone'], ['2.4.0', '2.4.1']],
  ])('picked %j are %j', (picked, sides) => expect(names(picked)).toEqual(sides));

  it('are one where there is one, and none where there is none', () => {
    expect(names([], [version('1')])).toEqual(['1', undefined]);
    expect(names([], [])).toEqual([undefined, undefined]);
  });

  it('change one at a time', () => {
    expect(togglePick(['a', 'b'], 'c')).toEqual(['b', 'c']);
    expect(togglePick(['a', 'b'], 'a')).toEqual(['b']);
  });
});
