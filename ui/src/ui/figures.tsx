import type { ReactNode } from 'react';

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
