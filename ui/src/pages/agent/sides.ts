/** Which versions stand side by side: pure. */

import type { Version } from '../../api/types.ts';

export interface Sides {
  /** The older one; the only one when there is no other. */
  base: Version | undefined;
  candidate: Version | undefined;
}

/**
 * Those that are picked, filled up with the newest ones. `versions` have the newest first, as the server gives them.
 */
export function sidesOf(versions: readonly Version[], picked: readonly string[]): Sides {
  const found = versions.filter(({ agent_version }) => picked.includes(agent_version));
  const rest = versions.filter((version) => !found.includes(version));
  const [candidate, base] = [...found, ...rest].slice(0, 2).toSorted((a, b) => versions.indexOf(a) - versions.indexOf(b));
  return base === undefined ? { base: candidate, candidate: undefined } : { base, candidate };
}

/** What is picked when `version` is ticked or unticked: a third one takes the place of the one that was there longer. */
export function togglePick(sides: readonly string[], version: string): string[] {
  return sides.includes(version) ? sides.filter((one) => one !== version) : [...sides.slice(-1), version];
}
