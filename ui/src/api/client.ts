/** Asks the server. Types come from its OpenAPI document; every failure is an {@link ApiError}. */

import createClient, { type Middleware } from 'openapi-fetch';

import type { paths } from './schema.d.ts';

/** Why a question got no answer. */
export class ApiError extends Error {
  /** The HTTP status; 0 when no answer came at all. */
  readonly status: number;
  readonly path: string;
  /** What is wrong with single parameters, where the server said so. */
  readonly details: readonly ApiDetail[];

  constructor(status: number, message: string, path: string, details: readonly ApiDetail[] = []) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.path = path;
    this.details = details;
  }

  /** Nobody answered: the server is gone, or the network is. */
  get isOffline(): boolean {
    return this.status === 0;
  }
}

/** One thing that is wrong with a request: `loc` is `["query", "q"]`. */
export interface ApiDetail {
  type: string;
  loc: (string | number)[];
  msg: string;
}

/** The shapes in which the server says that it cannot answer (contract §6). */
export function apiError(status: number, body: unknown, path: string): ApiError {
  if (typeof body === 'object' && body !== null) {
    if ('error' in body && typeof body.error === 'string') return new ApiError(status, body.error, path);
    if ('detail' in body) {
      if (typeof body.detail === 'string') return new ApiError(status, body.detail, path);
      if (Array.isArray(body.detail)) {
        const details = body.detail as ApiDetail[];
        const message = details.map(({ loc, msg }) => `${String(loc.at(-1) ?? '')}: ${msg}`).join('; ');
        return new ApiError(status, message, path, details);
      }
    }
  }
  return new ApiError(status, `The server answered with status ${status}`, path);
}

const asErrors: Middleware = {
  async onResponse({ response, request }) {
    if (response.ok) return;
    let body: unknown;
    try {
      body = await response.json();
    } catch {
      body = undefined;
    }
    throw apiError(response.status, body, new URL(request.url).pathname);
  },
  onError({ error, request }) {
    // A question that nobody waits for any more is no failure.
    if (error instanceof DOMException && error.name === 'AbortError') return error;
    return new ApiError(0, 'The server does not answer', new URL(request.url).pathname);
  },
};

/** The page's own origin: no request ever leaves it. */
export const api = createClient<paths>({ baseUrl: typeof location === 'undefined' ? 'http://localhost' : location.origin });
api.use(asErrors);

/** The answer's body. Failures were thrown already, so it is there. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  return data as T;
}
