/** What stands around every page: navigation, keys, the palette, and whether the server is there. */

import { Link, Outlet, useNavigate, useRouter, useRouterState, type ErrorComponentProps } from '@tanstack/react-router';
import { KeyRound, LogOut, Menu, Settings } from 'lucide-react';
import { lazy, Suspense, useState, type ReactNode } from 'react';

import { useLostAt } from '../api/connection.ts';
import { signOut, useSession } from '../api/session.ts';
import icon from '../icon.svg';
import { buttonClass, IconButton } from '../ui/button.tsx';
import { cx } from '../ui/class.ts';
import { Key } from '../ui/field.tsx';
import { Dialog } from '../ui/popover.tsx';
import { Empty, Failed, Notice } from '../ui/state.tsx';
import { dateTime } from '../format/index.ts';
import { useKeyList, useKeys } from './keys.ts';
import { PLACES } from './places.ts';
import { setPreferences, shownTheme } from './preferences.ts';
import { RangePicker, useZone } from './range.tsx';
import { SessionEnded, SignInPage, StillSignedIn } from './sign-in.tsx';

const Palette = lazy(() => import('./palette.tsx'));

export function Shell() {
  const session = useSession();
  const path = useRouterState({ select: (state) => state.location.pathname });
  // A page that was loaded before the session ended stays; another one could show nothing.
  const isOut = session.is === 'out' || (session.is === 'ended' && session.path !== path);
  return isOut ? <SignInPage /> : <Frame />;
}

function Frame() {
  const navigate = useNavigate();
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  // The menu of a small screen is open on the page on which it was opened, and closed on the next one.
  const [menuOn, setMenuOn] = useState<string>();
  const menu = menuOn === path;
  useKeys([
    { key: '?', label: 'This list of keys', run: () => setHelp(true) },
    { key: 'Ctrl+k', label: 'Command palette', always: true, run: () => setPalette(true) },
    {
      key: 't',
      label: 'Light or dark',
      run: () => setPreferences({ theme: shownTheme() === 'dark' ? 'light' : 'dark' }),
    },
    ...PLACES.map(({ to, label, key }) => ({ key, label, group: 'Go to', run: () => void navigate({ to }) })),
  ]);
  return (
    <div className="flex h-full flex-col md:flex-row">
      <a href="#main" className="sr-only z-50 bg-bg p-2 focus:not-sr-only focus:absolute">
        Skip to the content
      </a>
      <aside className="flex shrink-0 flex-col border-line bg-panel max-md:border-b md:w-44 md:border-r">
        <div className="flex h-12 items-center gap-2 px-3">
          <Link to="/" className="flex items-center gap-2 rounded-md text-14 font-semibold">
            <img src={icon} width="20" height="20" alt="" />
            AgentTracer
          </Link>
          <IconButton
            label={menu ? 'Close the menu' : 'Open the menu'}
            icon={<Menu size={16} />}
            aria-expanded={menu}
            aria-controls="navigation"
            className="ml-auto md:hidden"
            onClick={() => setMenuOn(menu ? undefined : path)}
          />
        </div>
        <nav id="navigation" aria-label="Pages" className={cx('min-h-0 grow flex-col px-2 pb-2 md:flex', menu ? 'flex' : 'hidden')}>
          <ul className="flex flex-col gap-0.5">
            {PLACES.map((place) => (
              <NavItem key={place.to} to={place.to} label={place.label} icon={place.icon} />
            ))}
          </ul>
          <ul className="mt-auto border-t border-line pt-2">
            <NavItem to="/settings" label="Settings" icon={Settings} />
            <SignedIn />
          </ul>
        </nav>
      </aside>
      <main id="main" tabIndex={-1} className="flex min-h-0 min-w-0 grow flex-col outline-none">
        <Lost />
        <SessionEnded />
        <StillSignedIn />
        <Outlet />
      </main>
      <Help open={help} onClose={() => setHelp(false)} />
      {palette && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPalette(false)} onHelp={() => setHelp(true)} />
        </Suspense>
      )}
    </div>
  );
}

function NavItem({ to, label, icon: Icon }: { to: (typeof PLACES)[number]['to'] | '/settings'; label: string; icon: typeof Menu }) {
  return (
    <li>
      <Link
        to={to}
        activeOptions={{ exact: to === '/', includeSearch: false }}
        className="flex h-8 items-center gap-2.5 rounded-lg px-2 text-13 text-ink-2 hover:text-ink aria-[current=page]:bg-selection aria-[current=page]:font-semibold aria-[current=page]:text-ink"
      >
        <Icon size={16} aria-hidden="true" />
        {label}
      </Link>
    </li>
  );
}

/** With which key the page asks, where it needs one. */
function SignedIn() {
  const session = useSession();
  if (session.is !== 'in') return null;
  return (
    <li className="flex h-8 items-center gap-2.5 pl-2 text-13 text-ink-2">
      <KeyRound size={16} aria-hidden="true" className="shrink-0" />
      <span className="min-w-0 grow truncate" title={`Signed in with the key ${session.session.name ?? ''}`}>
        <span className="sr-only">Signed in with the key </span>
        {session.session.name}
      </span>
      <IconButton label="Sign out" icon={<LogOut size={14} />} aria-disabled={session.signOut?.busy} className="aria-disabled:opacity-40" onClick={() => void signOut()} />
    </li>
  );
}

/** Says that the server is gone, while it is. */
function Lost() {
  const since = useLostAt();
  const zone = useZone();
  return (
    <div role="status">
      {since !== undefined && (
        <Notice title="The server does not answer">
          since {dateTime(since, zone).slice(11)}. What is shown was loaded before. Trying again; nothing has to be done here.
        </Notice>
      )}
    </div>
  );
}

function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const groups = useKeyList();
  return (
    <Dialog open={open} onClose={onClose} label="Keys" className="w-[min(640px,94vw)]">
      <div className="gap-8 sm:columns-2">
        {groups.map(({ group, keys }) => (
          <section key={group} aria-label={group} className="mb-4 break-inside-avoid">
            <h3 className="mb-1 text-12 font-semibold text-ink-3">{group}</h3>
            <dl>
              {keys.map(({ key, label }) => (
                <div key={key} className="flex h-6 items-center gap-3">
                  <dt className="grow text-13">{label}</dt>
                  <dd className="flex gap-1">
                    {key.split(' ').map((part, at) => (part === '/' && key !== '/' ? <span key={at}>/</span> : <Key key={at}>{part}</Key>))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

/** The head of a page: its name, which is the document's too, and what concerns all of it. */
export function PageHeader({
  title,
  documentTitle = title,
  children,
  range = true,
}: {
  title: string;
  documentTitle?: string;
  /** Buttons at the right. */
  children?: ReactNode;
  /** Whether the page asks about the time range. */
  range?: boolean;
}) {
  return (
    <header className="flex min-h-12 shrink-0 flex-wrap items-center gap-2 px-5 py-2">
      <title>{`${documentTitle} · AgentTracer`}</title>
      <h1 className="text-20 font-semibold">{title}</h1>
      <div className="ml-auto flex flex-wrap items-center gap-2">
        {children}
        {range && <RangePicker />}
      </div>
    </header>
  );
}

export function NotFound() {
  return (
    <>
      <PageHeader title="Not found" range={false} />
      <Empty
        title="There is no such page"
        action={
          <Link to="/runs" className={buttonClass()}>
            All runs
          </Link>
        }
      />
    </>
  );
}

/** A page whose code failed, or could not be loaded: after an upgrade its file may be gone. */
export function PageFailed({ error }: ErrorComponentProps) {
  const router = useRouter();
  return (
    <div className="p-6">
      <Failed title="This page failed" message={error instanceof Error ? error.message : 'It threw something that is no error'} onRetry={() => void router.invalidate().then(() => location.reload())} />
    </div>
  );
}
