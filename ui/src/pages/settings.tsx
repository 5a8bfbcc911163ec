/** What a person chose for this browser, the views that are saved in it, and what the server is. */

import { useQuery } from '@tanstack/react-query';
import { Link, useRouter } from '@tanstack/react-router';
import { Pencil, Trash2 } from 'lucide-react';
import { useMemo, useState, type ReactNode } from 'react';

import { healthQuery } from '../api/queries.ts';
import type { Health } from '../api/types.ts';
import { useNow } from '../app/clock.ts';
import { DENSITIES, localZone, setPreferences, THEMES, usePreferences } from '../app/preferences.ts';
import { useZone } from '../app/range.tsx';
import { PageHeader } from '../app/shell.tsx';
import { removeView, renameView, saveView, useViews, type SavedView } from '../app/views.ts';
import { count, dateTime, zoneLabel } from '../format/index.ts';
import { Answer } from '../parts/answer.tsx';
import { Button, buttonClass, IconButton } from '../ui/button.tsx';
import { CopyIcon } from '../ui/copy.tsx';
import { Segmented, SelectField, TextField } from '../ui/field.tsx';
import { Section } from '../ui/section.tsx';
import { Empty, SkeletonRows } from '../ui/state.tsx';

/** How often the server is asked how it is while this page is open. */
const ASK_EVERY_MS = 5000;

export default function Settings() {
  return (
    <>
      <PageHeader title="Settings" range={false} />
      <div className="scroll-quietly min-h-0 grow overflow-auto px-5 pb-5">
        <div className="grid max-w-[1200px] items-start gap-4 lg:grid-cols-2">
          <div className="flex min-w-0 flex-col gap-4">
            <Appearance />
            <Server />
          </div>
          <SavedViews />
        </div>
      </div>
    </>
  );
}

const name = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

function Appearance() {
  const { theme, density, zone } = usePreferences();
  const shownIn = useZone();
  const now = useNow();
  const zones = useMemo(() => {
    const others = Intl.supportedValuesOf('timeZone').filter((one) => one !== 'UTC');
    return [
      { value: 'UTC', label: 'UTC' },
      { value: 'local', label: `This machine: ${localZone()}` },
      ...[...new Set([...others, ...(zone === 'local' || zone === 'UTC' ? [] : [zone])])].map((one) => ({ value: one, label: one })),
    ];
  }, [zone]);
  return (
    <Section framed title="Appearance" aside="kept in this browser">
      <Setting name="Theme" help="“System” follows the machine. T turns it over on any page.">
        <Segmented label="Theme" value={theme} options={THEMES.map((value) => ({ value, label: name(value) }))} onChange={(next) => setPreferences({ theme: next })} />
      </Setting>
      <Setting name="Rows" help="26 or 32 pixels high.">
        <Segmented label="Rows" value={density} options={DENSITIES.map((value) => ({ value, label: name(value) }))} onChange={(next) => setPreferences({ density: next })} />
      </Setting>
      <Setting name="Time zone" help={`Now ${dateTime(now, shownIn).slice(0, 16)} ${zoneLabel(now, shownIn)}. A link that names a zone is shown in that one.`}>
        <SelectField label="Time zone" hideLabel value={zone} options={zones} onChange={(next) => setPreferences({ zone: next })} />
      </Setting>
    </Section>
  );
}

function Setting({ name, help, children }: { name: string; help: string; children: ReactNode }) {
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-1 border-t border-line py-2 first:border-0">
      <div className="min-w-0 flex-1 basis-56">
        <h3 className="text-13">{name}</h3>
        <p className="text-12 text-ink-3">{help}</p>
      </div>
      {children}
    </div>
  );
}

function Server() {
  const query = useQuery({ ...healthQuery, refetchInterval: ASK_EVERY_MS });
  return (
    <Section framed title="Server" aside={`asked every ${ASK_EVERY_MS / 1000} s`}>
      <Answer query={query} loading={<SkeletonRows rows={5} />}>
        {(health) => (
          <>
            <Facts health={health} />
            <p className="border-t border-line pt-2 text-12 text-ink-3">
              What this server was asked and how it fares:{' '}
              <a href="/metrics" className="text-accent underline">
                metrics
              </a>
            </p>
          </>
        )}
      </Answer>
    </Section>
  );
}

/** What each mode promises of a run that was acknowledged. */
const SYNC_HELP: Record<string, string> = {
  always: 'synced to disk before it is acknowledged',
  interval: 'synced to disk at this interval; a crash of the machine can lose so much',
};

function Facts({ health }: { health: Health }) {
  const healthy = health.status === 'healthy';
  const facts: [string, ReactNode][] = [
    [
      'Status',
      <span key="status" className={healthy ? 'text-success' : 'text-partial'}>
        <span aria-hidden="true">{healthy ? '✓' : '◐'}</span> {health.status}
        {health.reason !== undefined && <span className="ml-2 text-ink-2">{health.reason}</span>}
      </span>,
    ],
    ['Version', <code key="version">{health.version}</code>],
    ['Address', <code key="address">{location.origin}</code>],
    [
      'Sync mode',
      <span key="sync">
        <code>{health.sync_mode}</code> <span className="font-sans text-ink-3">{SYNC_HELP[health.sync_mode.split('=')[0] ?? '']}</span>
      </span>,
    ],
    ['Log position', <code key="position">{count(health.position)}</code>],
  ];
  return (
    <dl>
      {facts.map(([name, value]) => (
        <div key={name} className="flex min-h-(--row) items-center gap-4 border-t border-line py-1 first:border-0">
          <dt className="w-28 shrink-0 text-ink-2">{name}</dt>
          <dd className="min-w-0 font-mono text-12">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function SavedViews() {
  const views = useViews();
  const [removed, setRemoved] = useState<SavedView>();
  const [renamed, setRenamed] = useState<string>();
  return (
    <Section framed title="Saved views" aside="links kept in this browser">
      <div role="status">
        {removed !== undefined && (
          <p className="mb-2 flex items-center gap-2 rounded-md bg-panel px-3 py-1 text-13">
            <span className="min-w-0 truncate">“{removed.name}” is removed.</span>
            <Button
              small
              className="ml-auto"
              onClick={() => {
                saveView(removed);
                setRemoved(undefined);
              }}
            >
              Undo
            </Button>
          </p>
        )}
      </div>
      {views.length === 0 ? (
        <Empty
          title="No saved views yet"
          action={
            <Link to="/runs" className={buttonClass()}>
              Runs
            </Link>
          }
        >
          A view is a name for a link: filters, order and time range. Save one on the page of runs; it is also in the command palette.
        </Empty>
      ) : (
        <ul>
          {views.map((view) => (
            <View
              key={view.name}
              view={view}
              wasRenamed={view.name === renamed}
              onRename={setRenamed}
              onRemove={() => {
                removeView(view.name);
                setRemoved(view);
              }}
            />
          ))}
        </ul>
      )}
    </Section>
  );
}

/** A view under its new name is another element: it takes the focus that its old one had. */
function View({
  view,
  wasRenamed,
  onRename,
  onRemove,
}: {
  view: SavedView;
  wasRenamed: boolean;
  onRename: (to: string) => void;
  onRemove: () => void;
}) {
  const router = useRouter();
  const [isEditing, setIsEditing] = useState(false);
  const [wasEdited, setWasEdited] = useState(wasRenamed);
  const [text, setText] = useState(view.name);
  const [refused, setRefused] = useState(false);
  const stop = () => {
    setIsEditing(false);
    setWasEdited(true);
  };
  if (isEditing) {
    return (
      <li className="border-t border-line py-1.5 first:border-0">
        <form
          className="flex flex-wrap items-center gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            if (renameView(view.name, text)) {
              onRename(text.trim());
              stop();
            } else setRefused(true);
          }}
          onKeyDown={(event) => event.key === 'Escape' && stop()}
        >
          <TextField
            label={`New name of ${view.name}`}
            hideLabel
            className="min-w-40 flex-1"
            value={text}
            autoFocus
            aria-invalid={refused}
            onChange={(event) => {
              setText(event.target.value);
              setRefused(false);
            }}
          />
          <Button type="submit" kind="primary">
            Rename
          </Button>
          <Button onClick={stop}>Cancel</Button>
          {refused && (
            <p role="alert" className="w-full text-12 text-failure">
              ✕ {text.trim() === '' ? 'A view needs a name' : 'Another view has this name'}
            </p>
          )}
        </form>
      </li>
    );
  }
  return (
    <li className="flex items-center gap-1 border-t border-line py-1 first:border-0">
      <div className="min-w-0 flex-1">
        <a
          href={view.href}
          className="block truncate text-13 hover:underline"
          onClick={(event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            void router.navigate({ href: view.href });
          }}
        >
          {view.name}
        </a>
        <p className="truncate font-mono text-11 text-ink-3" title={view.href}>
          {view.href}
        </p>
      </div>
      <CopyIcon label={`Copy the link of ${view.name}`} text={location.origin + view.href} />
      <IconButton
        autoFocus={wasEdited}
        label={`Rename ${view.name}`}
        icon={<Pencil size={14} />}
        onClick={() => {
          setText(view.name);
          setRefused(false);
          setIsEditing(true);
        }}
      />
      <IconButton label={`Remove ${view.name}`} icon={<Trash2 size={14} />} onClick={onRemove} />
    </li>
  );
}
