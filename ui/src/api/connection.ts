/**
 * Whether the server is there. When a question gets no answer at all, the server is asked for its health until it is
 * back, and then everything that is shown is asked again; until then what was loaded stays.
 */

import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';

import { ApiError } from './client.ts';

const ASK_AGAIN_MS = 1500;

let lostAt: Date | undefined;
const listeners = new Set<() => void>();
let client: QueryClient | undefined;

function set(lost: Date | undefined): void {
  lostAt = lost;
  for (const listener of listeners) listener();
}

/** Says that nobody answered. */
export function connectionLost(): void {
  if (lostAt !== undefined) return;
  set(new Date());
  void waitForServer();
}

async function waitForServer(): Promise<void> {
  for (;;) {
    await new Promise((done) => setTimeout(done, ASK_AGAIN_MS));
    try {
      if ((await fetch('/health', { cache: 'no-store' })).ok) break;
    } catch {
      // Still gone.
    }
  }
  set(undefined);
  void client?.invalidateQueries();
}

/** To be called once. */
export function startConnection(queries: QueryClient): void {
  client = queries;
  queries.getQueryCache().subscribe((event) => {
    if (event.type === 'updated' && event.action.type === 'error' && event.action.error instanceof ApiError) {
      if (event.action.error.isOffline) connectionLost();
    }
  });
}

/** Since when the server does not answer; `undefined` while it does. */
export function useLostAt(): Date | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => lostAt,
  );
}
