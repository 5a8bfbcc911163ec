/**
 * What happens on the server, as it happens: one connection for all tabs of a browser.
 *
 * The tab that holds the lock reads `GET /v1/tail` and tells the others; when it is closed, the next one goes on from the
 * same position. It reads no faster than a few times a second: what comes faster waits at the server, which says so when
 * somebody is too far behind. An event says that a run changed, and pages ask again for what they show: whether a run
 * matches a filter is for the server to know.
 */

import { useEffect, useRef, useState } from 'react';

import { connectionLost } from './connection.ts';
import { signedIn } from './session.ts';

/** Something new. Without a run id it may have been any run. */
export interface TailEvent {
  /** The position of the log up to which everything is told; `undefined` when that is not known yet. */
  position: string | undefined;
  /** The runs that changed; `'any'` when the server skipped some. */
  runs: readonly string[] | 'any';
}

const PAUSE_MS = 250;
const RECONNECT_MS = 1000;

type Listener = (event: TailEvent) => void;
const listeners = new Set<Listener>();
let stop: (() => void) | undefined;
let position: string | undefined;

/** One event of a stream of server-sent events. */
export interface SentEvent {
  type: string;
  id: string | undefined;
  data: string;
}

/** Takes the whole events off the front of `text`: what they are, and the rest. */
export function takeEvents(text: string): { events: SentEvent[]; rest: string } {
  const events: SentEvent[] = [];
  const blocks = text.replaceAll('\r\n', '\n').split('\n\n');
  const rest = blocks.pop() ?? '';
  for (const block of blocks) {
    const event: SentEvent = { type: 'message', id: undefined, data: '' };
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':');
      if (colon <= 0) continue;
      const value = line.slice(colon + 1).replace(/^ /, '');
      switch (line.slice(0, colon)) {
        case 'event':
          event.type = value;
          break;
        case 'id':
          event.id = value;
          break;
        case 'data':
          event.data += event.data === '' ? value : `\n${value}`;
          break;
      }
    }
    events.push(event);
  }
  return { events, rest };
}

const RUN_ID = /"run_id":"([0-9a-f-]{36})"/;

/** What some events say together; `undefined` when they say nothing but that the connection lives. */
export function tailEventOf(events: readonly SentEvent[], before: string | undefined): TailEvent | undefined {
  let at = before;
  let any = false;
  const runs = new Set<string>();
  for (const { type, id, data } of events) {
    at = id ?? at;
    if (type === 'missed') any = true;
    // The first field of a summary; there is no need to read the rest.
    const runId = type === 'run' ? RUN_ID.exec(data)?.[1] : undefined;
    if (runId !== undefined) runs.add(runId);
  }
  return at === undefined || (!any && runs.size === 0) ? undefined : { position: at, runs: any ? 'any' : [...runs] };
}

async function read(signal: AbortSignal, tell: Listener): Promise<void> {
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (position !== undefined) headers['last-event-id'] = position;
  const response = await fetch('/v1/tail', { headers, signal, cache: 'no-store' });
  if (response.status === 401) return signedIn(signal);
  if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
  // What a page shows may be older than the connection, and nobody told what happened in between.
  if (position === undefined) tell({ position, runs: 'any' });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const { events, rest } = takeEvents(text + value);
    text = rest;
    const event = tailEventOf(events, position);
    position = events.reduce<string | undefined>((at, { id }) => id ?? at, position);
    if (event !== undefined) {
      tell(event);
      await new Promise((done) => setTimeout(done, PAUSE_MS));
    }
  }
}

function start(): () => void {
  const channel = new BroadcastChannel('agenttracer.tail');
  const ended = new AbortController();
  const hear = (event: TailEvent) => {
    position = event.position;
    for (const listener of listeners) listener(event);
  };
  channel.addEventListener('message', ({ data }: MessageEvent<TailEvent>) => hear(data));
  const follow = async () => {
    for (;;) {
      try {
        await read(ended.signal, (event) => {
          channel.postMessage(event);
          hear(event);
        });
      } catch (error) {
        // That nobody listens any more is no loss.
        if (error instanceof TypeError) connectionLost();
      }
      if (ended.signal.aborted) return;
      await new Promise((done) => setTimeout(done, RECONNECT_MS));
    }
  };
  // Locks exist only where the page came safely, by HTTPS or from this machine; elsewhere each tab follows for itself.
  if ('locks' in navigator) {
    navigator.locks.request('agenttracer.tail', { signal: ended.signal }, follow).catch(() => undefined);
  } else void follow();
  return () => {
    ended.abort();
    channel.close();
  };
}

/** Hears what happens from now on; the connection is there while anybody listens. Returns how to stop. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  stop ??= start();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    stop?.();
    stop = undefined;
    position = undefined;
  };
}

/**
 * Calls `onChange` when something happened that `concerns` says is of interest, at most once in `everyMs`, and never while
 * the one before is not done. Off while `on` is false.
 */
export function useTail(
  on: boolean,
  onChange: () => Promise<unknown>,
  { concerns = () => true, everyMs = 1000 }: { concerns?: (event: TailEvent) => boolean; everyMs?: number } = {},
): void {
  const latest = useRef({ onChange, concerns });
  useEffect(() => {
    latest.current = { onChange, concerns };
  });
  useEffect(() => {
    if (!on) return undefined;
    let state: 'idle' | 'busy' | 'again' | 'ended' = 'idle';
    const run = async () => {
      state = 'busy';
      await latest.current.onChange().catch(() => undefined);
      await new Promise((done) => setTimeout(done, everyMs));
      const after = state as string;
      if (after === 'again') void run();
      else if (after === 'busy') state = 'idle';
    };
    const stopListening = listen((event) => {
      if (!latest.current.concerns(event)) return;
      if (state === 'idle') void run();
      else if (state === 'busy') state = 'again';
    });
    return () => {
      state = 'ended';
      stopListening();
    };
  }, [on, everyMs]);
}

/** Turns true for a moment with each event: the sign that something lives. */
export function usePulse(on: boolean): boolean {
  const [at, setAt] = useState(0);
  useEffect(() => {
    if (at === 0) return undefined;
    const timer = setTimeout(() => setAt(0), 600);
    return () => clearTimeout(timer);
  }, [at]);
  useEffect(() => (on ? listen(() => setAt(performance.now())) : undefined), [on]);
  return at !== 0;
}
