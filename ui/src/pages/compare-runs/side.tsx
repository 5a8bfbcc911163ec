import { cx } from '../../ui/class.ts';

/** The letter of a side. */
export function Side({ side }: { side: 'A' | 'B' }) {
  return (
    <span
      className={cx(
        'inline-flex size-4 shrink-0 items-center justify-center rounded-sm border text-11 leading-none font-semibold',
        side === 'A' ? 'border-line-strong text-ink' : 'border-accent bg-selection text-accent',
      )}
    >
      {side}
    </span>
  );
}
