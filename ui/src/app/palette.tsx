/** The command palette: goes anywhere by a few letters. Loaded when it is first opened. */

import { useQuery } from '@tanstack/react-query';
import { useNavigate, useRouter } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { useState } from 'react';

import { facetsQuery } from '../api/queries.ts';
import { signOut, useSession } from '../api/session.ts';
import { Combobox, type Option } from '../ui/combobox.tsx';
import { Dialog } from '../ui/popover.tsx';
import { PLACES } from './places.ts';
import { DENSITIES, setPreferences, THEMES } from './preferences.ts';
import { removeView, useViews } from './views.ts';

interface Command extends Option {
  words: string;
  run: () => void;
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** Whether the letters stand in the text in this order; the smaller, the closer together. */
export function score(letters: string, text: string): number | undefined {
  const wanted = letters.toLowerCase().replaceAll(' ', '');
  const within = text.toLowerCase();
  const whole = within.indexOf(letters.toLowerCase());
  if (whole >= 0) return whole;
  let at = -1;
  let gaps = 100;
  for (const letter of wanted) {
    const next = within.indexOf(letter, at + 1);
    if (next === -1) return undefined;
    gaps += next - at - 1;
    at = next;
  }
  return gaps;
}

export default function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const navigate = useNavigate();
  const router = useRouter();
  const views = useViews();
  const session = useSession();
  const [text, setText] = useState('');
  const agents = useQuery(facetsQuery({}, ['agent_id'], 200)).data?.facets[0]?.values ?? [];
  const command = (group: string, id: string, words: string, run: () => void): Command => ({
    id: `${group} ${id}`,
    group,
    words,
    content: <span className="truncate">{words}</span>,
    run,
  });
  const commands: Command[] = [
    ...(UUID.test(text.trim())
      ? [command('Run', text, `Open run ${text.trim()}`, () => void navigate({ to: '/runs/$runId', params: { runId: text.trim() } }))]
      : []),
    ...views.map(({ name, href }) => command('Saved views', href + name, name, () => void router.navigate({ href }))),
    ...PLACES.map(({ to, label }) => command('Go to', to, label, () => void navigate({ to }))),
    command('Go to', '/settings', 'Settings', () => void navigate({ to: '/settings' })),
    ...agents.map(({ value }) =>
      command('Agents', value, value, () => void navigate({ to: '/runs', search: (before) => ({ from: before.from, to: before.to, tz: before.tz, agent: [value] }) })),
    ),
    command('Runs', 'failed', 'Failed runs', () => void navigate({ to: '/runs', search: { status: ['failure'] } })),
    command('Runs', 'live', 'Live runs', () => void navigate({ to: '/runs', search: { live: true, status: ['running'] } })),
    ...THEMES.map((theme) => command('Settings', theme, `Theme: ${theme}`, () => setPreferences({ theme }))),
    ...DENSITIES.map((density) => command('Settings', density, `Rows: ${density}`, () => setPreferences({ density }))),
    command('Settings', 'keys', 'Keys of the keyboard', onHelp),
    ...(session.is === 'in' ? [command('Settings', 'sign-out', 'Sign out', () => void signOut())] : []),
    ...views.map(({ name }) => command('Remove', name, `Remove the saved view ${name}`, () => removeView(name))),
  ];
  const found = commands
    .map((one) => ({ one, points: text === '' ? 0 : one.group === 'Run' ? -1 : score(text, one.words) }))
    .filter(({ points, one }) => points !== undefined && (text !== '' || one.group !== 'Remove'))
    .sort((a, b) => (text === '' ? 0 : (a.points ?? 0) - (b.points ?? 0)))
    .slice(0, 40)
    .map(({ one }) => (text === '' ? one : { ...one, group: undefined }));
  return (
    <Dialog open onClose={onClose} label="Command palette" heading={false} className="mt-[12vh] w-[min(560px,94vw)]">
      <Combobox
        open
        label="Command"
        placeholder="Go to a page, an agent, a view, or paste a run id"
        icon={<Search size={14} />}
        value={text}
        onChange={setText}
        options={found}
        onPick={(option) => {
          onClose();
          option.run();
        }}
      />
      {found.length === 0 && <p className="px-3 py-6 text-center text-13 text-ink-2">Nothing is called so.</p>}
    </Dialog>
  );
}
