import { useSyncExternalStore } from 'react';

/** Whether the window is as wide as the breakpoint `xl` of the styles. */
const query = typeof matchMedia === 'undefined' ? undefined : matchMedia('(min-width: 1400px)');

export function useWide(): boolean {
  return useSyncExternalStore(
    (listener) => {
      query?.addEventListener('change', listener);
      return () => query?.removeEventListener('change', listener);
    },
    () => query?.matches ?? true,
  );
}
