/** How a number changed against the range before: an arrow, words, and a colour that says only what they say. */

import type { Change } from '../format/change.ts';
import { cx } from '../ui/class.ts';

const SYMBOL = { up: '▲', down: '▼', same: '=' } as const;

export function ChangeText({
  change,
  worse = 'neither',
  missing,
}: {
  change: Change | undefined;
  /** Which way is the bad one. */
  worse?: 'up' | 'down' | 'neither';
  /** What is said where there is nothing to compare with. */
  missing?: string;
}) {
  if (change === undefined) return missing === undefined ? null : <span className="text-12 font-normal text-ink-2">{missing}</span>;
  const { direction, text, notable } = change;
  const tone = !notable || worse === 'neither' ? 'text-ink-2' : direction === worse ? 'text-failure' : 'text-success';
  return (
    <span className={cx('inline-flex items-baseline gap-1 font-mono text-11 font-normal whitespace-nowrap max-md:text-12', tone)} title="against the range before">
      <span aria-hidden="true">
        {SYMBOL[direction]}
      </span>
      {text}
      <span className="sr-only"> against the range before{notable && direction === worse ? ', worse' : ''}</span>
    </span>
  );
}
