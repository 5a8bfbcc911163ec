import type { ComponentProps, ReactNode } from 'react';

import { cx } from './class.ts';

type Kind = 'plain' | 'primary' | 'quiet' | 'danger';

const KINDS: Record<Kind, string> = {
  plain: 'border-line-strong bg-bg text-ink hover:bg-panel',
  primary: 'border-accent bg-accent text-on-accent hover:opacity-90',
  quiet: 'border-transparent text-ink-2 hover:bg-panel hover:text-ink',
  danger: 'border-failure text-failure hover:bg-failure-soft',
};

/** The look of a button, for links that look like one. */
export function buttonClass(kind: Kind = 'plain', small = false): string {
  return cx(
    'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-lg border text-13 whitespace-nowrap select-none',
    'disabled:opacity-50 aria-disabled:opacity-50',
    small ? 'h-6 px-2 text-12' : 'h-7 px-2.5',
    KINDS[kind],
  );
}

interface ButtonProps extends ComponentProps<'button'> {
  kind?: Kind;
  small?: boolean;
  icon?: ReactNode;
}

export function Button({ kind = 'plain', small = false, icon, className, children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} className={cx(buttonClass(kind, small), className)}>
      {icon}
      {children}
    </button>
  );
}

interface IconButtonProps extends ComponentProps<'button'> {
  /** What it does: the only name that it has. */
  label: string;
  icon: ReactNode;
  kind?: Kind;
}

export function IconButton({ label, icon, kind = 'quiet', className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={cx(
        'inline-flex size-7 shrink-0 items-center justify-center rounded-lg border disabled:opacity-40',
        KINDS[kind],
        className,
      )}
    >
      {icon}
    </button>
  );
}
