/** What stands where an answer is not there: it is coming, it is empty, it failed. */

import type { ReactNode } from 'react';
import { RotateCw } from 'lucide-react';

import { Button } from './button.tsx';
import { cx } from './class.ts';

/** A block in the place of what is loading; it shows itself after 150 ms. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden="true" className={cx('skeleton', className)} />;
}

/** Rows in the place of a table's. */
export function SkeletonRows({ rows }: { rows: number }) {
  return (
    <div role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="flex h-(--row) items-center gap-4 border-b border-line px-3">
          <Skeleton className="h-2.5 w-16" />
          <Skeleton className={cx('h-2.5', ['w-40', 'w-56', 'w-48'][row % 3])} />
          <Skeleton className="ml-auto h-2.5 w-24" />
        </div>
      ))}
    </div>
  );
}

/** Says that there is nothing, and what can be done. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-10 text-center">
      <p className="text-14 font-semibold">{title}</p>
      {children !== undefined && <div className="max-w-[56ch] text-13 text-ink-2">{children}</div>}
      {action !== undefined && <div className="mt-1 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}

/** A line over the page about what concerns all of it, and is no failure of the page. */
export function Notice({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-wrap items-center gap-x-2 gap-y-1 border-b border-partial/40 bg-partial-soft px-5 py-1 text-13">
      <p className="min-w-0 grow">
        <strong className="font-semibold text-partial">◐ {title}</strong> {children}
      </p>
      {action}
    </div>
  );
}

/** Says what failed in the server's words. With `compact` it is a line over data that is still shown. */
export function Failed({
  title = 'This could not be loaded',
  message,
  detail,
  onRetry,
  compact = false,
}: {
  title?: string;
  message: string;
  detail?: string;
  onRetry?: () => void;
  compact?: boolean;
}) {
  const again = onRetry !== undefined && (
    <Button small onClick={onRetry} icon={<RotateCw size={12} aria-hidden="true" />}>
      Try again
    </Button>
  );
  if (compact) {
    return (
      <div role="alert" className="flex flex-wrap items-center gap-2 border-y border-failure/40 bg-failure-soft px-4 py-1 text-13">
        <strong className="font-semibold text-failure">✕ {title}</strong>
        <span className="min-w-0 grow text-ink-2">{message}. What is shown was loaded before.</span>
        {again}
      </div>
    );
  }
  return (
    <div role="alert" className="flex flex-col items-center gap-2 px-6 py-10 text-center">
      <p className="text-14 font-semibold text-failure">✕ {title}</p>
      <p className="max-w-[60ch] text-13 break-words text-ink-2">{message}</p>
      {detail !== undefined && <p className="font-mono text-11 text-ink-3">{detail}</p>}
      {again}
    </div>
  );
}
