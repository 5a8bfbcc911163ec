import { useSyncExternalStore } from 'react';

/** How wide a window is at least, in px: the same as in the styles. */
const BREAKPOINTS = { md: 768, lg: 1100, xl: 1400, '2xl': 1700 } as const;

export type Breakpoint = keyof typeof BREAKPOINTS;

const names = Object.keys(BREAKPOINTS) as Breakpoint[];
const queries = typeof matchMedia === 'undefined' ? [] : names.map((name) => matchMedia(`(min-width: ${BREAKPOINTS[name]}px)`));

/** Tells whether the window is at least so wide. */
export function useBreakpoint(): (breakpoint: Breakpoint) => boolean {
  const met = useSyncExternalStore(
    (listener) => {
      for (const query of queries) query.addEventListener('change', listener);
      return () => {
        for (const query of queries) query.removeEventListener('change', listener);
      };
    },
    () => (queries.length === 0 ? names.length : queries.filter(({ matches }) => matches).length),
  );
  return (breakpoint) => names.indexOf(breakpoint) < met;
}
