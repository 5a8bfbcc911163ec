import { useId, type ComponentProps, type ReactNode } from 'react';

import { cx } from './class.ts';

const BOX = 'h-7 rounded-lg border border-line-strong bg-bg px-2 text-13 text-ink placeholder:text-ink-3';

/** A line of text. Its label is seen or, with `hideLabel`, only heard. */
export function TextField({
  label,
  hideLabel = false,
  icon,
  trailing,
  className,
  ...rest
}: ComponentProps<'input'> & { label: string; hideLabel?: boolean; icon?: ReactNode; trailing?: ReactNode }) {
  const id = useId();
  return (
    <div className={cx('relative flex min-w-0 flex-col gap-1', className)}>
      <label htmlFor={id} className={hideLabel ? 'sr-only' : 'text-12 text-ink-2'}>
        {label}
      </label>
      <div className="relative flex min-w-0 items-center">
        {icon !== undefined && <span className="pointer-events-none absolute left-2 text-ink-3">{icon}</span>}
        <input
          id={id}
          autoComplete="off"
          spellCheck={false}
          {...rest}
          className={cx(BOX, 'w-full min-w-0', icon !== undefined && 'pl-7', trailing !== undefined && 'pr-8')}
        />
        {trailing !== undefined && <span className="absolute right-2 text-ink-3">{trailing}</span>}
      </div>
    </div>
  );
}

export function SelectField<T extends string>({
  label,
  hideLabel = false,
  value,
  options,
  onChange,
  className,
}: {
  label: string;
  hideLabel?: boolean;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
  /** Its width, where the options come late: without, it is as wide as the longest of them. */
  className?: string;
}) {
  const id = useId();
  return (
    <div className={cx('flex flex-col gap-1', className)}>
      <label htmlFor={id} className={hideLabel ? 'sr-only' : 'text-12 text-ink-2'}>
        {label}
      </label>
      <select
        id={id}
        value={value} 
        onChange={(event) => onChange(event.target.value as T)}
        className={BOX}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  );
}

/** One of a few, side by side. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly { value: T; label: ReactNode }[];
  onChange: (value: T) => void;
}) {
  const move = (by: number) => {
    const at = options.findIndex((option) => option.value === value);
    const next = options[(at + by + options.length) % options.length];
    if (next !== undefined) onChange(next.value);
  };
  return (
    <div
      role="radiogroup"
      aria-label={label}
      className="inline-flex h-7 shrink-0 items-stretch overflow-hidden rounded-lg border border-line"
      onKeyDown={(event) => {
        const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        move(by);
        const group = event.currentTarget;
        requestAnimationFrame(() => group.querySelector<HTMLElement>('[aria-checked="true"]')?.focus());
      }}
    >
      {options.map((option) => {
        const on = option.value === value;
        return (
          <button
            key={option.value}
            type="button"
            role="radio"
            aria-checked={on}
            tabIndex={on ? 0 : -1}
            onClick={() => onChange(option.value)}
            className={cx(
              'px-2 text-13 whitespace-nowrap select-none focus-visible:-outline-offset-2',
              on ? 'bg-selection text-ink' : 'text-ink-2 hover:bg-panel',
            )}
          >
            {option.label}
          </button>
        );
      })}
    </div>
  );
}

/** Pages of one place, of which one is shown. */
export function Tabs<T extends string>({
  label,
  value,
  options,
  onChange,
  id,
}: {
  label: string;
  value: T;
  options: readonly { value: T; label: ReactNode }[];
  onChange: (value: T) => void;
  /** The id of the panel that shows what is chosen. */
  id: string;
}) {
  return (
    <div
      role="tablist"
      aria-label={label}
      className="flex gap-4 border-b border-line"
      onKeyDown={(event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const at = options.findIndex((option) => option.value === value);
        const next = by === undefined ? undefined : options[(at + by + options.length) % options.length];
        if (next === undefined) return;
        event.preventDefault();
        onChange(next.value);
        const list = event.currentTarget;
        requestAnimationFrame(() => list.querySelector<HTMLElement>('[aria-selected="true"]')?.focus());
      }}
    >
      {options.map((option) => {
        const on = option.value === value;
        return (
          <button
            key={option.value}
            type="button"
            role="tab"
            id={`${id}-${option.value}`}
            aria-selected={on}
            aria-controls={id}
            tabIndex={on ? 0 : -1}
            onClick={() => onChange(option.value)}
            className={cx(
              '-mb-px h-8 border-b-2 text-13 whitespace-nowrap',
              on ? 'border-accent font-semibold text-ink' : 'border-transparent text-ink-2 hover:text-ink',
            )}
          >
            {option.label}
          </button>
        );
      })}
    </div>
  );
}

/** A key of the keyboard. */
export function Key({ children }: { children: string }) {
  return (
    <kbd className="inline-flex h-4 min-w-4 items-center justify-center rounded-sm border border-line bg-panel px-1 font-mono text-11 text-ink-2">
      {children}
    </kbd>
  );
}
