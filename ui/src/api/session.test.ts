import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

/** A request that waits for its answer. */
interface Asked {
  what: string;
  answer: (status: number, body?: unknown) => Promise<void>;
  /** Nobody answers. */
  lose: () => Promise<void>;
}

const SIGNED_IN = { required: true, key_id: 'k1', name: 'dashboard', scopes: ['query'], csrf_token: 'a'.repeat(64), ends_in_s: null };
const NOBODY = { required: true, key_id: null, name: null, scopes: [], csrf_token: null, ends_in_s: null };

let asked: Asked[];
let session: typeof import('./session.ts');
let state: () => import('./session.ts').SessionState;

/** Lets everything run that waits for nothing but its turn: there is no network here, so the number of turns is fixed. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((done) => setTimeout(done, 0));
}

/** The only request of `what` that has no answer yet, or the one at `index`. */
function request(what: string, index = 0): Asked {
  const found = asked.filter((one) => one.what === what)[index];
  if (found === undefined) throw new Error(`nobody asked ${what}; asked was ${asked.map((one) => one.what).join(', ')}`);
  return found;
}

beforeEach(async () => {
  asked = [];
  vi.resetModules();
  vi.stubGlobal('location', { origin: 'http://localhost', pathname: '/runs' });
  vi.stubGlobal(
    'fetch',
    (sent: Request) =>
      new Promise<Response>((resolve, reject) => {
        const one: Asked = {
          what: `${sent.method} ${new URL(sent.url).pathname}`,
          answer: (status, body) => {
            asked = asked.filter((other) => other !== one);
            resolve(status === 204 ? new Response(null, { status }) : Response.json(body, { status }));
            return turns();
          },
          lose: () => {
            asked = asked.filter((other) => other !== one);
            reject(new TypeError('fetch failed'));
            return turns();
          },
        };
        asked.push(one);
      }),
  );
  // Other tabs are no part of this.
  vi.stubGlobal('BroadcastChannel', class extends EventTarget {
    postMessage() {}
  });
  session = await import('./session.ts');
  state = session.sessionState;
  session.startSession(new QueryClient());
  await turns();
});

afterEach(() => vi.unstubAllGlobals());

async function signIn(): Promise<void> {
  const done = session.signIn('at_key');
  await turns();
  await request('POST /v1/session').answer(200, SIGNED_IN);
  await done;
}

describe('who is signed in', () => {
  it('is not what a question from before the sign-in is answered, when that comes late', async () => {
    const old = request('GET /v1/session');
    await signIn();
    expect(state().is).toBe('in');
    await old.answer(200, NOBODY);
    expect(state().is).toBe('in');
  });

  it('is what a question from before the sign-in is answered, when that comes in time', async () => {
    await request('GET /v1/session').answer(200, NOBODY);
    expect(state()).toEqual({ is: 'out', left: false });
    await signIn();
    expect(state().is).toBe('in');
  });

  it('is asked again after a sign-in, though a question from before it has no answer yet', async () => {
    const old = request('GET /v1/session');
    await signIn();
    void session.askSession();
    await turns();
    const [before, after] = [request('GET /v1/session', 0), request('GET /v1/session', 1)];
    expect(before).toBe(old);
    await after.answer(200, NOBODY);
    expect(state().is).toBe('ended');
    // The old answer says that somebody is signed in, and comes last.
    await before.answer(200, SIGNED_IN);
    expect(state().is).toBe('ended');
  });

  it('is decided by the last question in the other order, too', async () => {
    const old = request('GET /v1/session');
    await signIn();
    void session.askSession();
    await turns();
    const after = request('GET /v1/session', 1);
    await old.answer(200, NOBODY);
    expect(state().is).toBe('in');
    await after.answer(200, { ...SIGNED_IN, name: 'still there' });
    expect(state()).toMatchObject({ is: 'in', session: { name: 'still there' } });
  });

  it('is asked once by everything that is refused at the same time', async () => {
    void session.askSession();
    void session.askSession();
    await turns();
    expect(asked.map(({ what }) => what)).toEqual(['GET /v1/session']);
  });
});

describe('signing out', () => {
  beforeEach(async () => {
    await request('GET /v1/session').answer(200, SIGNED_IN);
    expect(state().is).toBe('in');
  });

  it('ends the session', async () => {
    void session.signOut();
    await turns();
    await request('GET /v1/session').answer(200, SIGNED_IN);
    await request('DELETE /v1/session').answer(204);
    expect(state()).toEqual({ is: 'out', left: true });
  });

  it('is not undone by an answer from before it', async () => {
    void session.signOut();
    await turns();
    const own = request('GET /v1/session');
    await own.answer(200, SIGNED_IN);
    void session.askSession();
    await turns();
    const during = request('GET /v1/session');
    await request('DELETE /v1/session').answer(204);
    await during.answer(200, SIGNED_IN);
    expect(state()).toEqual({ is: 'out', left: true });
  });

  it.each([
    ['when the server fails', (one: Asked) => one.answer(500, { detail: 'The disk is full' }), 'The disk is full'],
    ['when nobody answers', (one: Asked) => one.lose(), 'The server does not answer'],
  ])('leaves one signed in and says why %s, and can be tried again', async (_, fail, message) => {
    void session.signOut();
    await turns();
    expect(state()).toMatchObject({ is: 'in', signOut: { busy: true } });
    await fail(request('GET /v1/session'));
    await fail(request('DELETE /v1/session'));
    expect(state()).toMatchObject({ is: 'in', session: { name: 'dashboard' }, signOut: { busy: false, failed: { message } } });

    void session.signOut();
    await turns();
    expect(state()).toMatchObject({ is: 'in', signOut: { busy: true, failed: { message } } });
    await request('GET /v1/session').answer(200, SIGNED_IN);
    expect(state()).toMatchObject({ is: 'in', signOut: { busy: true, failed: { message } } });
    await request('DELETE /v1/session').answer(204);
    expect(state()).toEqual({ is: 'out', left: true });
  });

  it('is done where the session had ended already', async () => {
    void session.signOut();
    await turns();
    await request('GET /v1/session').answer(200, SIGNED_IN);
    await request('DELETE /v1/session').answer(401, { detail: 'A key is needed' });
    expect(state()).toEqual({ is: 'out', left: true });
  });

  it('is asked for once however often it is clicked', async () => {
    void session.signOut();
    void session.signOut();
    await turns();
    await request('GET /v1/session').answer(200, SIGNED_IN);
    expect(asked.map(({ what }) => what)).toEqual(['DELETE /v1/session']);
    await request('DELETE /v1/session').answer(204);
  });
});
