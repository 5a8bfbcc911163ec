/** The panel beside a list that tells more about the row that is chosen. On a small screen it stands over the list. */

import { X } from 'lucide-react';
import type { ReactNode } from 'react';

import { IconButton } from '../ui/button.tsx';

export function Side({
  label,
  title,
  subtitle,
  onClose,
  children,
}: {
  label: string;
  title: ReactNode;
  subtitle?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}) {
  return (
    <aside
      aria-label={label}
      className="absolute inset-0 z-20 flex min-h-0 flex-col border-line bg-panel lg:static lg:w-[400px] lg:shrink-0 lg:border-l xl:w-[440px]"
    >
      <header className="flex items-start gap-2 border-b border-line px-4 py-3">
        <div className="min-w-0 grow">
          <h2 className="text-14 font-semibold break-words">{title}</h2>
          {subtitle !== undefined && <div className="text-12 text-ink-2">{subtitle}</div>}
        </div>
        <IconButton label="Close" icon={<X size={16} />} onClick={onClose} />
      </header>
      <div tabIndex={0} role="group" aria-label={`About ${label}`} className="scroll-quietly min-h-0 grow overflow-auto px-4 py-3 focus-visible:-outline-offset-2">
        {children}
      </div>
    </aside>
  );
}

/** A part of the panel. */
export function SidePart({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title} className="mb-5">
      <header className="mb-1 flex items-baseline gap-2">
        <h3 className="text-12 font-semibold">{title}</h3>
        {aside !== undefined && <div className="ml-auto text-12 text-ink-3">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** Names and what they are, each on a line. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl>
      {facts.map(([name, value]) => (
        <div key={name} className="flex min-h-7 items-center gap-3 border-b border-line last:border-0">
          <dt className="text-12 text-ink-2">{name}</dt>
          <dd className="ml-auto text-right font-mono text-12">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
