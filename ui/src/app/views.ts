/** Saved views: names for URLs of this dashboard, kept in this browser. A view is its link, so it can be sent to anybody. */

import { useSyncExternalStore } from 'react';

export interface SavedView {
  name: string;
  /** A path with its query string, of this origin. */
  href: string;
}

const KEY = 'agenttracer.views';
const listeners = new Set<() => void>();
let current = read();

function read(): readonly SavedView[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(stored)) return [];
    return (stored as unknown[]).filter(
      (one): one is SavedView =>
        typeof one === 'object' &&
        one !== null &&
        'name' in one &&
        typeof one.name === 'string' &&
        'href' in one &&
        typeof one.href === 'string' &&
        // A path of this origin, and nothing that a browser would take for another one.
        /^\/(?![/\\])/.test(one.href),
    );
  } catch {
    return [];
  }
}

function set(views: readonly SavedView[]): void {
  current = views;
  try {
    localStorage.setItem(KEY, JSON.stringify(views));
  } catch {
    // They hold until the page is closed.
  }
  for (const listener of listeners) listener();
}

/** Saves a view; one of the same name is replaced. */
export function saveView(view: SavedView): void {
  set(inOrder([...current.filter(({ name }) => name !== view.name), view]));
}

const inOrder = (views: readonly SavedView[]) => views.toSorted((a, b) => a.name.localeCompare(b.name));

export function removeView(name: string): void {
  set(current.filter((view) => view.name !== name));
}

/** Gives a view another name; `false`, and nothing is changed, where another view has it already or it says nothing. */
export function renameView(name: string, to: string): boolean {
  const wanted = to.trim();
  if (wanted === '' || (wanted !== name && current.some((view) => view.name === wanted))) return false;
  set(inOrder(current.map((view) => (view.name === name ? { ...view, name: wanted } : view))));
  return true;
}

export function useViews(): readonly SavedView[] {
  return useSyncExternalStore(
    (listener) => {
      const hear = (event: StorageEvent) => {
        if (event.key !== KEY) return;
        current = read();
        listener();
      };
      listeners.add(listener);
      addEventListener('storage', hear);
      return () => {
        listeners.delete(listener);
        removeEventListener('storage', hear);
      };
    },
    () => current,
  );
}
