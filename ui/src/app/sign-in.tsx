/** Signing in with a key: the page that stands in the place of every other, and the window over one whose session ended. */

import { KeyRound } from 'lucide-react';
import { useState } from 'react';

import { ApiError } from '../api/client.ts';
import { ScopeError, signIn, signOut, useSession } from '../api/session.ts';
import { dateTime } from '../format/index.ts';
import icon from '../icon.svg';
import { Button } from '../ui/button.tsx';
import { CopyIcon } from '../ui/copy.tsx';
import { TextField } from '../ui/field.tsx';
import { Dialog } from '../ui/popover.tsx';
import { Notice } from '../ui/state.tsx';
import { useZone } from './range.tsx';

const COMMAND = 'agenttracer keys create --data-dir DIR --name dashboard --scope query';

/** The address stays that of the page that was asked for, which is shown as soon as somebody is signed in. */
export function SignInPage() {
  const session = useSession();
  return (
    <main id="main" className="scroll-quietly flex h-full flex-col items-center overflow-auto bg-panel px-4 py-[12vh]">
      <title>Sign in · AgentTracer</title>
      <div className="w-full max-w-[420px]">
        <p className="mb-4 flex items-center gap-2 text-14 font-semibold">
          <img src={icon} width="20" height="20" alt="" />
          AgentTracer
        </p>
        <section aria-label="Sign in" className="rounded-lg border border-line bg-bg px-6 py-5">
          <h1 className="mb-1 text-20 font-semibold">Sign in</h1>
          <p role="status" className="mb-4 text-13 text-ink-2">
            {session.is === 'ended'
              ? 'The session ended, or its key was revoked.'
              : session.is === 'out' && session.left
                ? 'You are signed out.'
                : 'This server answers whoever shows a key.'}
          </p>
          <SignInForm />
        </section>
      </div>
    </main>
  );
}

/** Why a key was not taken. */
function refusal(error: unknown): string {
  if (error instanceof ScopeError) {
    return `This key is valid for ${error.scopes.join(', ')} alone. The dashboard needs one with the scope query.`;
  }
  if (error instanceof ApiError && error.status === 401) return 'This key is not valid. It may be mistyped, revoked or expired.';
  return error instanceof Error ? `${error.message}.` : 'Signing in failed.';
}

function SignInForm() {
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string>();
  const submit = async () => {
    setBusy(true);
    try {
      await signIn(key.trim());
      // The form is gone, and the keys of the page are what comes next.
      requestAnimationFrame(() => document.getElementById('main')?.focus());
    } catch (error) {
      setRefused(refusal(error));
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy && key.trim() !== '') void submit();
      }}
    >
      <TextField
        label="Key"
        type="password"
        autoFocus
        autoComplete="off"
        placeholder="at_…"
        value={key}
        aria-invalid={refused === undefined ? undefined : true}
        aria-describedby="sign-in-refused"
        onChange={(event) => {
          setKey(event.target.value);
          setRefused(undefined);
        }}
        className="[&_input]:h-9 [&_input]:font-mono"
      />
      <p id="sign-in-refused" role="alert" className="mt-1 text-12 text-failure empty:hidden">
        {refused !== undefined && <>✕ {refused}</>}
      </p>
      <Button type="submit" kind="primary" aria-disabled={busy || key.trim() === ''} className="mt-3 h-9 w-full" icon={<KeyRound size={14} aria-hidden="true" />}>
        Sign in
      </Button>
      <div className="mt-5 border-t border-line pt-3 text-12 text-ink-2">
        <p>No key yet? Where the server runs:</p>
        <div className="mt-1 flex items-start gap-1 rounded-md border border-line bg-panel py-0.5 pr-0.5 pl-2">
          <code className="grow py-1 font-mono text-11 break-words text-ink">{COMMAND}</code>
          <CopyIcon label="Copy the command" text={COMMAND} />
        </div>
        <p className="mt-2 text-ink-3">
          The browser keeps no key: it gets a cookie for 12 hours, or for as long as the key is valid.
          {location.protocol === 'http:' && !isLoopback(location.hostname) && (
            <span className="text-partial"> ◐ This page came without TLS: on its way the key can be read.</span>
          )}
        </p>
      </div>
    </form>
  );
}

const isLoopback = (hostname: string) => hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');

/** Says over a page that its session ended, and lets one sign in again without losing what is shown. */
export function SessionEnded() {
  const session = useSession();
  const zone = useZone();
  const [open, setOpen] = useState(false);
  const ended = session.is === 'ended';
  return (
    <>
      <div role="status">
        {ended && (
          <Notice title="The session ended" action={<Button small onClick={() => setOpen(true)}>Sign in</Button>}>
            or its key was revoked: seen at {dateTime(session.at, zone).slice(11)}. What is shown was loaded before.
          </Notice>
        )}
      </div>
      <Dialog open={open && ended} onClose={() => setOpen(false)} label="Sign in" className="w-[min(420px,94vw)]">
        <SignInForm />
      </Dialog>
    </>
  );
}

/** Says that signing out failed: who leaves the browser has to know that it still opens everything. */
export function StillSignedIn() {
  const session = useSession();
  if (session.is !== 'in' || session.signOut?.failed === undefined) return null;
  const { busy, failed } = session.signOut;
  return (
    <div role="alert">
      <Notice
        title="You are still signed in"
        action={
          // It keeps the focus while it is tried: it may be needed again.
          <Button small aria-disabled={busy} onClick={() => void signOut()}>
            Sign out again
          </Button>
        }
      >
        with the key {session.session.name}. {busy ? 'Trying again to sign out…' : `Signing out failed: ${failed.message}.`}
      </Notice>
    </div>
  );
}
