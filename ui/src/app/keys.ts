/**
 * The keyboard layer. A component says which keys it answers to while it is shown; the one added last wins. Keys go by
 * `event.key`, so they are where the layout has them, and are off while something is typed. `g r` is one key after the
 * other.
 */

import { useEffect, useRef, useSyncExternalStore } from 'react';

export interface Binding {
  /** `j`, `Enter`, `Ctrl+k`, `g r`. Letters are lower case. */
  key: string;
  /** What it does, for the list of keys; one that says nothing stays out of the list. */
  label?: string;
  /** Under what it stands in the list. */
  group?: string;
  /** Also while something is typed. */
  always?: boolean;
  /** Does it. `false`: it was nothing to do, and the next binding may answer. */
  run: (event: KeyboardEvent) => unknown;
}

type Scope = { readonly bindings: readonly Binding[] };

let scopes: readonly Scope[] = [];
const listeners = new Set<() => void>();
let prefix: { key: string; at: number } | undefined;
/** How long the second key of a pair may take. */
const PAIR_MS = 1200;

function setScopes(next: readonly Scope[]): void {
  scopes = next;
  for (const listener of listeners) listener();
}

/** The name of what was pressed. */
export function keyName(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return `${event.ctrlKey || event.metaKey ? 'Ctrl+' : ''}${event.altKey ? 'Alt+' : ''}${key}`;
}

/** Whether keys belong to what has the focus: somebody types, or chooses from a list. */
function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'range'].includes(target.type);
}

/** Keys that work what has the focus: a button, a link, a checkbox. */
const WORKS_FOCUS = new Set(['Enter', ' ']);
const ARROWS = new Set(['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Home', 'End']);

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const name = keyName(event);
  const { target } = event;
  const typing = isTyping(target);
  // A dialog has its own keys, and what is behind it has none.
  const modal = document.querySelector('dialog:modal') !== null;
  const pair = prefix !== undefined && event.timeStamp - prefix.at < PAIR_MS ? `${prefix.key} ${name}` : undefined;
  prefix = undefined;
  if (target instanceof Element) {
    if (WORKS_FOCUS.has(name) && target.closest('button, a, input, summary, [role="option"], [role="menuitem"]') !== null) return;
    if (ARROWS.has(name) && target.closest('[role="tablist"], [role="radiogroup"], [role="listbox"], [role="slider"]') !== null) return;
  }
  for (const scope of scopes.toReversed()) {
    for (const binding of scope.bindings) {
      if (binding.key !== name && binding.key !== pair) continue;
      if ((typing || modal) && binding.always !== true) continue;
      if (binding.run(event) === false) continue;
      event.preventDefault();
      return;
    }
  }
  if (!typing && !modal && scopes.some((scope) => scope.bindings.some(({ key }) => key.startsWith(`${name} `)))) {
    prefix = { key: name, at: event.timeStamp };
  }
}

/** To be called once. */
export function startKeys(): void {
  addEventListener('keydown', onKeyDown);
}

/** Answers to these keys while the component is shown. */
export function useKeys(bindings: readonly Binding[]): void {
  const latest = useRef(bindings);
  useEffect(() => {
    latest.current = bindings;
  });
  useEffect(() => {
    const scope: Scope = {
      get bindings() {
        return latest.current;
      },
    };
    setScopes([...scopes, scope]);
    return () => setScopes(scopes.filter((other) => other !== scope));
  }, []);
}

/** All keys that say what they do, by group; of one key, the binding that would answer. */
export function useKeyList(): { group: string; keys: { key: string; label: string }[] }[] {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => scopes,
  );
  const groups = new Map<string, { key: string; label: string }[]>();
  const seen = new Set<string>();
  for (const { bindings } of shown.toReversed()) {
    for (const { key, label, group = 'Everywhere' } of bindings) {
      if (label === undefined || seen.has(key)) continue;
      seen.add(key);
      const keys = groups.get(group) ?? [];
      const same = keys.find((other) => other.label === label);
      if (same === undefined) keys.push({ key, label });
      else same.key = `${same.key} / ${key}`;
      groups.set(group, keys);
    }
  }
  return [...groups].map(([group, keys]) => ({ group, keys }));
}
