import type { ReactNode } from 'react';

import { cx } from './class.ts';

/** A part of a page with a heading. */
export function Panel({
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
  /** Whether the content reaches the border, as a table does. */
  flush?: boolean;
}) {
  return (
    <section aria-label={title} className={cx('flex min-w-0 flex-col rounded-lg border border-line bg-bg', className)}>
      <header className="flex min-h-9 items-center gap-3 px-3 pt-1">
        <h2 className="truncate text-13 font-semibold">{title}</h2>
        {aside !== undefined && <div className="ml-auto flex items-center gap-2 text-12 text-ink-3">{aside}</div>}
      </header>
      <div className={cx('min-h-0 min-w-0 grow', flush ? '' : 'px-3 pb-3')}>{children}</div>
    </section>
  );
}

/** Numbers side by side, each under its name. */
export function Figures({ children, label }: { children: ReactNode; label: string }) {
  return (
    <dl aria-label={label} className="flex flex-wrap gap-y-3">
      {children}
    </dl>
  );
}

export function Figure({ name, children, detail }: { name: string; children: ReactNode; detail?: ReactNode }) {
  return (
    <div className="min-w-36 flex-1 border-l border-line pr-1 pl-3">
      <dt className="text-12 whitespace-nowrap text-ink-3">{name}</dt>
      <dd className="text-14 font-semibold whitespace-nowrap">
        {children}
        {detail !== undefined && <span className="ml-1.5 text-13 font-normal text-ink-3">{detail}</span>}
      </dd>
    </div>
  );
}
