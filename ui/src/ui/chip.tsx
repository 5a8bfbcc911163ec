import type { ReactNode } from 'react';
import { X } from 'lucide-react';

import { cx } from './class.ts';

/** Something that is on or off. */
export function ToggleChip({
  on,
  onToggle,
  children,
  label,
}: {
  on: boolean;
  onToggle: () => void;
  children: ReactNode;
  label?: string;
}) {
  return (
    <button
      type="button"
      aria-pressed={on}
      aria-label={label}
      onClick={onToggle}
      className={cx(
        'inline-flex h-7 shrink-0 items-center gap-1.5 rounded-lg border px-1.5 text-13 whitespace-nowrap select-none',
        on ? 'border-accent bg-selection' : 'border-line hover:bg-panel',
      )}
    >
      {children}
    </button>
  );
}

/** Something that can be taken away. */
export function RemovableChip({ label, onRemove, children }: { label: string; onRemove: () => void; children: ReactNode }) {
  return (
    <span className="inline-flex h-6 max-w-80 shrink-0 items-center rounded-md border border-line bg-panel pl-2 text-12">
      <span className="truncate">{children}</span>
      <button
        type="button"
        aria-label={`Remove ${label}`}
        onClick={onRemove}
        className="ml-1 inline-flex size-6 shrink-0 items-center justify-center rounded-md text-ink-3 hover:text-ink"
      >
        <X size={12} aria-hidden="true" />
      </button>
    </span>
  );
}
