/** A part of a page that reaches from edge to edge, with a heading and a line over it. */

import type { ReactNode } from 'react';

import { cx } from '../ui/class.ts';

export function Section({
  title,
  aside,
  children,
  className,
  flush = false,
}: {
  title: string;
  /** What stands at the right of the heading. */
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
  /** Whether the content reaches the edges, as a table does. */
  flush?: boolean;
}) {
  return (
    <section aria-label={title} className={cx('flex min-w-0 flex-col border-t border-line bg-bg', className)}>
      <header className="flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 px-5">
        <h2 className="truncate text-13 font-semibold">{title}</h2>
        {aside !== undefined && <div className="ml-auto flex flex-wrap items-center gap-x-4 gap-y-1 text-12 text-ink-3">{aside}</div>}
      </header>
      <div className={cx('min-h-0 min-w-0 grow', flush ? '' : 'px-5 pb-3')}>{children}</div>
    </section>
  );
}

/** The look of a link in the text of a page: found without its colour, since it is underlined when it is pointed at and stands with an arrow. */
export const LINK = 'text-accent hover:underline focus-visible:underline';
