import type { ReactNode } from 'react';

import { cx } from './class.ts';

export type Tone = 'neutral' | 'accent' | 'success' | 'failure' | 'partial' | 'running';

const SOFT: Record<Tone, string> = {
  neutral: 'bg-panel text-ink-2',
  accent: 'bg-selection text-accent',
  success: 'bg-success-soft text-success',
  failure: 'bg-failure-soft text-failure',
  partial: 'bg-partial-soft text-partial',
  running: 'bg-running-soft text-running',
};

const OUTLINE: Record<Tone, string> = {
  neutral: 'border-line-strong text-ink',
  accent: 'border-accent text-accent',
  success: 'border-success text-success',
  failure: 'border-failure text-failure',
  partial: 'border-partial text-partial',
  running: 'border-running text-running',
};

interface BadgeProps {
  tone?: Tone;
  /** A sign beside the word, so that the colour is never alone. */
  symbol?: string;
  outline?: boolean;
  mono?: boolean;
  title?: string;
  children: ReactNode;
}

export function Badge({ tone = 'neutral', symbol, outline = false, mono = false, title, children }: BadgeProps) {
  return (
    <span
      title={title}
      className={cx(
        'inline-flex h-5 max-w-full shrink-0 items-center gap-1 px-1.5 text-12 whitespace-nowrap',
        outline ? `rounded-md border ${OUTLINE[tone]}` : `rounded-full px-2 ${SOFT[tone]}`,
        mono && 'font-mono text-11',
      )}
    >
      {symbol !== undefined && <span aria-hidden="true">{symbol}</span>}
      <span className="truncate">{children}</span>
    </span>
  );
}
