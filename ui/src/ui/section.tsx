import type { ReactNode } from 'react';

import { cx } from './class.ts';

/** A part of a page with a heading: from edge to edge under a line, or in a frame of its own. */
export function Section({
  title,
  aside,
  children,
  className,
  flush = false,
  framed = false,
}: {
  title: string;
  /** What stands at the right of the heading. */
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
  /** Whether the content reaches the edges, as a table does. */
  flush?: boolean;
  framed?: boolean;
}) {
  const padding = framed ? 'px-4' : 'px-5';
  return (
    <section aria-label={title} className={cx('flex min-w-0 flex-col border-line bg-bg', framed ? 'rounded-lg border' : 'border-t', className)}>
      <header className={cx('flex min-h-9 shrink-0 flex-wrap items-center gap-x-3', padding)}>
        <h2 className="truncate text-13 font-semibold">{title}</h2>
        {aside !== undefined && <div className="ml-auto flex flex-wrap items-center gap-x-4 gap-y-1 text-12 text-ink-3">{aside}</div>}
      </header>
      <div className={cx('min-h-0 min-w-0 grow', !flush && `${padding} pb-3`)}>{children}</div>
    </section>
  );
}
