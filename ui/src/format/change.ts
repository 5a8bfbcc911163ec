/** How a number changed against the time before. The one formatter of changes. */

import { percent } from './number.ts';

/** Which way a number went; `same` also where the text would show no difference. */
export type Direction = 'up' | 'down' | 'same';

export interface Change {
  direction: Direction;
  /** `+12.3 %`, `−1.4 pt`, `+3.2×`; without a sign when nothing changed. */
  text: string;
  /** Whether it is large enough to be shown as better or worse: 10 %, or one point. */
  notable: boolean;
}

const NOTABLE_PERCENT = 10;
const NOTABLE_POINTS = 1;

/** The change of a count or a duration, relative to what it was; `undefined` where it was nothing, or is not known. */
export function relativeChange(now: number | null | undefined, before: number | null | undefined): Change | undefined {
  if (typeof now !== 'number' || typeof before !== 'number' || before <= 0) return undefined;
  const share = (100 * (now - before)) / before;
  // Beyond three times as much, a percentage is harder to read than a factor.
  if (share >= 300) return { direction: 'up', text: `${(now / before).toFixed(now / before < 10 ? 1 : 0)}×`, notable: true };
  const rounded = Math.round(share);
  if (rounded === 0) return { direction: 'same', text: '0 %', notable: false };
  return { direction: rounded > 0 ? 'up' : 'down', text: `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)} %`, notable: Math.abs(rounded) >= NOTABLE_PERCENT };
}

/** The change of a percentage, in points of it; `undefined` where one of both is not known. */
export function pointsChange(now: number | null | undefined, before: number | null | undefined): Change | undefined {
  if (typeof now !== 'number' || typeof before !== 'number') return undefined;
  const rounded = Math.round((now - before) * 10) / 10;
  if (rounded === 0) return { direction: 'same', text: '0.0 pt', notable: false };
  return { direction: rounded > 0 ? 'up' : 'down', text: `${rounded > 0 ? '+' : '−'}${Math.abs(rounded).toFixed(1)} pt`, notable: Math.abs(rounded) >= NOTABLE_POINTS };
}

/** `part` of `whole` in percent, where the server gives both as counts; `—` of nothing. */
export function shareText(part: number, whole: number): string {
  return percent(whole === 0 ? null : (100 * part) / whole);
}
