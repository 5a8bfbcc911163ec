/** What a person chose for this browser: theme, density, the zone of times. Kept in the browser alone. */

import { useSyncExternalStore } from 'react';

import { isZone } from '../format/time.ts';

export const THEMES = ['system', 'light', 'dark'] as const;
export const DENSITIES = ['compact', 'comfortable'] as const;

export interface Preferences {
  theme: (typeof THEMES)[number];
  density: (typeof DENSITIES)[number];
  /** `UTC`, `local`, or the name of a zone. */
  zone: string;
}

const KEY = 'agenttracer.preferences';
const DEFAULTS: Preferences = { theme: 'system', density: 'compact', zone: 'UTC' };

function read(): Preferences {
  let stored: Partial<Record<keyof Preferences, unknown>> = {};
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? '{}') as typeof stored;
  } catch {
    // A browser that keeps nothing, or kept something else: the defaults hold.
  }
  const { theme, density, zone } = stored;
  return {
    theme: THEMES.find((known) => known === theme) ?? DEFAULTS.theme,
    density: DENSITIES.find((known) => known === density) ?? DEFAULTS.density,
    zone: typeof zone === 'string' && (zone === 'local' || isZone(zone)) ? zone : DEFAULTS.zone,
  };
}

let current = read();
const listeners = new Set<() => void>();
const systemIsDark = matchMedia('(prefers-color-scheme: dark)');

/** The theme that is shown, whatever it comes from. */
export function shownTheme(): 'light' | 'dark' {
  return current.theme === 'system' ? (systemIsDark.matches ? 'dark' : 'light') : current.theme;
}

function apply(): void {
  document.documentElement.dataset.theme = shownTheme();
  document.documentElement.dataset.density = current.density;
  for (const listener of listeners) listener();
}

/** Applies what is stored, and follows the system and the other tabs. To be called once, before anything is shown. */
export function startPreferences(): void {
  systemIsDark.addEventListener('change', apply);
  addEventListener('storage', (event) => {
    if (event.key !== KEY) return;
    current = read();
    apply();
  });
  apply();
}

export function setPreferences(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // It holds until the page is closed.
  }
  apply();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export const preferences = (): Preferences => current;

export function usePreferences(): Preferences {
  return useSyncExternalStore(subscribe, preferences);
}

/** The theme that is shown; what is drawn on a canvas has to be drawn anew when it changes. */
export function useShownTheme(): 'light' | 'dark' {
  return useSyncExternalStore(subscribe, shownTheme);
}

/** How high a row of a table is, in px; the same as `--row` of the styles. */
export function useRowHeight(): number {
  return usePreferences().density === 'comfortable' ? 32 : 26;
}

/** The zone of this machine. */
export function localZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}
