/**
 * Who this browser is signed in as, where the server asks for keys. A key is exchanged for a cookie that no script can
 * read; what the page has of it stands in memory alone: the name, and the token that goes with each write.
 */

import type { QueryClient } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';

import { api, ApiError, data } from './client.ts';
import type { Session } from './types.ts';

export type SessionState =
  /** Not known yet, or nobody has to sign in. */
  | { is: 'open' }
  | { is: 'in'; session: Session; endsAt: Date | undefined; signOut?: SignOut }
  /** `left`: somebody signed out, here or in another tab. */
  | { is: 'out'; left: boolean }
  /** It was signed in, and is no more: what was loaded on this path is still there. */
  | { is: 'ended'; at: Date; path: string };

/** How signing out stands with somebody who is still signed in: asked for, or failed, or both when it is tried again. */
export interface SignOut {
  busy: boolean;
  failed?: Error | undefined;
}

type Told = 'in' | 'out';

let state: SessionState = { is: 'open' };
let queries: QueryClient | undefined;
/** The last question that was asked of who is signed in, while it has no answer. */
let asking: Promise<void> | undefined;
/** Counts these questions and the sign-ins: an answer to anything but the last of them tells of what was before. */
let turn = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let channel: BroadcastChannel | undefined;
const listeners = new Set<() => void>();

function set(next: SessionState): void {
  state = next;
  clearTimeout(timer);
  if (next.is === 'in' && next.endsAt !== undefined) {
    timer = setTimeout(() => void askSession(), next.endsAt.getTime() - Date.now() + 1000);
  }
  for (const listener of listeners) listener();
}

function enter(session: Session): void {
  const { ends_in_s } = session;
  const signOut = state.is === 'in' ? state.signOut : undefined;
  set({
    is: 'in',
    session,
    endsAt: ends_in_s === null ? undefined : new Date(Date.now() + ends_in_s * 1000),
    ...(signOut === undefined ? {} : { signOut }),
  });
}

/** Asks the server who is signed in: at first, and whenever it refused something for want of a key. */
export function askSession(): Promise<void> {
  return asking ?? askAnew();
}

/** Asks even where a question has no answer yet, because its answer may be of a time before something that is known here. */
function askAnew(): Promise<void> {
  const own = ++turn;
  const isLast = () => own === turn;
  asking = data(api.GET('/v1/session'))
    .then(
      (session) => {
        if (isLast()) take(session);
      },
      // Where nobody answers, `connection.ts` sees to it, and the questions after it come here again.
      () => undefined,
    )
    // Who waits for an answer that was overtaken waits for the one that decides.
    .then(() => {
      if (!isLast()) return asking;
      asking = undefined;
      return undefined;
    });
  return asking;
}

function take(session: Session): void {
  if (!session.required) set({ is: 'open' });
  else if (session.key_id !== null) enter(session);
  else if (state.is === 'in') set({ is: 'ended', at: new Date(), path: location.pathname });
  else if (state.is === 'open') set({ is: 'out', left: false });
}

/** From here on no question that is under way can say anything. */
function overtake(): void {
  turn++;
  asking = undefined;
}

/** A key with which the dashboard can ask nothing. */
export class ScopeError extends Error {
  readonly scopes: readonly string[];

  constructor(scopes: readonly string[]) {
    super('This key may not ask questions');
    this.scopes = scopes;
  }
}

/** Signs in. Throws an {@link ApiError} with 401 when the key is not valid, a {@link ScopeError} when it opens nothing here. */
export async function signIn(key: string): Promise<void> {
  const session = await data(api.POST('/v1/session', { body: { key } }));
  if (!session.scopes.some((scope) => scope === 'query' || scope === 'admin')) {
    await api.DELETE('/v1/session', { headers: csrf(session) });
    throw new ScopeError(session.scopes);
  }
  overtake();
  enter(session);
  channel?.postMessage('in' satisfies Told);
  void queries?.invalidateQueries();
}

/**
 * Ends the session for all tabs of this browser, which forget what they loaded. When the server does not do it, one is still
 * signed in, and the state says why: nobody who walks away from a browser may think otherwise.
 */
export async function signOut(): Promise<void> {
  if (state.is !== 'in' || state.signOut?.busy === true) return;
  set({ ...state, signOut: { ...state.signOut, busy: true } });
  try {
    // The token of the cookie as it is now: another tab may have signed in anew.
    await askAnew();
    if (isOpen()) return;
    if (isIn()) await api.DELETE('/v1/session');
  } catch (error) {
    // Somebody else ended it, or its time was over, which is what was wanted.
    if (!isRefused(error)) {
      if (isIn()) set({ ...state, signOut: { busy: false, failed: error instanceof Error ? error : new Error(String(error)) } });
      return;
    }
  }
  channel?.postMessage('out' satisfies Told);
  leave();
}

// What it is may change while the server is asked.
const isIn = () => state.is === 'in';
const isOpen = () => state.is === 'open';

function leave(): void {
  overtake();
  set({ is: 'out', left: true });
  queries?.clear();
}

const csrf = ({ csrf_token }: Session): Record<string, string> => (csrf_token === null ? {} : { 'x-csrf-token': csrf_token });

/** To be called once. */
export function startSession(client: QueryClient): void {
  queries = client;
  api.use({
    onRequest({ request }) {
      if (state.is !== 'in' || request.method === 'GET' || request.headers.has('x-csrf-token')) return;
      for (const [name, value] of Object.entries(csrf(state.session))) request.headers.set(name, value);
    },
  });
  client.getQueryCache().subscribe((event) => {
    if (event.type === 'updated' && event.action.type === 'error' && isRefused(event.action.error)) void askSession();
  });
  channel = new BroadcastChannel('agenttracer.session');
  channel.addEventListener('message', ({ data }: MessageEvent<Told>) => {
    if (data === 'out') leave();
    else void askAnew().then(() => client.invalidateQueries());
  });
  void askSession();
}

/** Whether the server wants a key and got none that is valid. */
export function isRefused(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

/** Returns when somebody is signed in, or nobody has to be. */
export async function signedIn(signal: AbortSignal): Promise<void> {
  await askSession();
  while ((state.is === 'out' || state.is === 'ended') && !signal.aborted) {
    await new Promise<void>((done) => {
      const hear = () => {
        listeners.delete(hear);
        done();
      };
      listeners.add(hear);
      signal.addEventListener('abort', hear, { once: true });
    });
  }
}

export const sessionState = (): SessionState => state;

export function useSession(): SessionState {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, sessionState);
}
