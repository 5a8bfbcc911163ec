/** The one clock of the page. It ticks once a minute while the page is seen, and ranges that end now move on with it. */

import { useSyncExternalStore } from 'react';

const TICK_MS = 60_000;

let now = new Date();
const listeners = new Set<() => void>();

/** Sets the clock to this moment: questions about a range that ends now are asked anew. */
export function tick(): void {
  now = new Date();
  for (const listener of listeners) listener();
}

/** To be called once. */
export function startClock(): void {
  setInterval(() => {
    if (document.visibilityState === 'visible') tick();
  }, TICK_MS);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible' && Date.now() - now.getTime() > TICK_MS) tick();
  });
}

/** The time of the last tick. */
export const lastTick = (): Date => now;

export function useNow(): Date {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, lastTick);
}
