/** Shows the answer to a question in each of its states. */

import type { UseQueryResult } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';

import { ApiError } from '../api/client.ts';
import { isRefused } from '../api/session.ts';
import { Failed } from '../ui/state.tsx';

/** What a failure is called on the page. */
export function failureText(error: Error): { message: string; detail: string | undefined } {
  if (!(error instanceof ApiError)) return { message: error.message, detail: undefined };
  return { message: error.message, detail: error.isOffline ? undefined : `${error.path} · status ${error.status}` };
}

/**
 * The answer to a question; when a new one cannot be had, that of the question before. What is shown is then not what is asked,
 * and has to say so.
 */
export function useKept<T>({ data, error }: Pick<UseQueryResult<T>, 'data' | 'error'>): T | undefined {
  const [kept, setKept] = useState(data);
  if (data !== undefined && data !== kept) setKept(data);
  return data ?? (error === null ? undefined : kept);
}

/**
 * What is loading, what failed, what is there. An answer of before stays while a new one comes, and when none comes, with
 * a line that says so.
 */
export function Answer<T>({
  query,
  loading,
  children,
}: {
  query: Pick<UseQueryResult<T>, 'data' | 'error' | 'refetch'>;
  /** In the place and size of what will be there. */
  loading: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { error } = query;
  const data = useKept(query);
  const retry = () => void query.refetch();
  if (data !== undefined) {
    return (
      <>
        {/* That the session ended is said once, over the page. */}
        {error !== null && !isRefused(error) && <Failed compact {...failureText(error)} title="Not up to date" onRetry={retry} />}
        {children(data)}
      </>
    );
  }
  if (error !== null) return <Failed {...failureText(error)} onRetry={retry} />;
  return <>{loading}</>;
}
