/** Two versions of an agent, two environments or two times: what changed, and how sure that is. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { ArrowLeftRight, Link2 } from 'lucide-react';
import type { ReactNode } from 'react';

import { comparedAgents, comparedEnvironments, comparedVersions, comparison } from '../api/first.ts';
import type { Comparison } from '../api/types.ts';
import { useRange } from '../app/range.tsx';
import { PageHeader } from '../app/shell.tsx';
import { compareGroups, summary, twoTimes } from '../compare/versions.ts';
import { count, dateTime, type Zone } from '../format/index.ts';
import { Answer } from '../parts/answer.tsx';
import { Button, buttonClass } from '../ui/button.tsx';
import { ToggleChip } from '../ui/chip.tsx';
import { CopyButton } from '../ui/copy.tsx';
import { Segmented, SelectField } from '../ui/field.tsx';
import { Figure, Figures } from '../ui/figures.tsx';
import { Empty, SkeletonRows } from '../ui/state.tsx';
import type { Against, CompareBy } from '../url/compare.ts';
import type { RunsSearch } from '../url/filter.ts';
import { Lines } from './compare-versions/lines.tsx';

const HOUR = 3_600_000;
const BY: { value: CompareBy; label: string }[] = [
  { value: 'agent_version', label: 'Versions' },
  { value: 'environment', label: 'Environments' },
  { value: 'time', label: 'Times' },
];
const BACK_MS: Record<Against, number | undefined> = { previous: undefined, day: 24 * HOUR, week: 7 * 24 * HOUR };

/** Both sides as they are asked for, and what narrows the list of runs to either. */
interface Sides {
  base: string;
  candidate: string;
  runs: { base: RunsSearch & { from?: string; to?: string }; candidate: RunsSearch & { from?: string; to?: string } };
}

export default function CompareVersions() {
  const search = useSearch({ from: '/versions' });
  const navigate = useNavigate({ from: '/versions' });
  const range = useRange();
  const by = search.by ?? 'agent_version';
  const set = (change: Partial<typeof search>) => void navigate({ search: (before) => ({ ...before, ...change }) });

  const agents = useQuery(comparedAgents(range));
  // Versions are compared of one agent; everything else can be compared over all of them.
  const agent = search.agent ?? (by === 'agent_version' ? agents.data?.agents[0]?.agent_id : undefined);
  const env = by === 'environment' ? undefined : search.env;
  const what = { by, agent, env };
  const environments = useQuery(comparedEnvironments(what, range));
  const names = environments.data?.facets[0]?.values.map(({ value }) => value) ?? [];
  const versions = useQuery({ ...comparedVersions(what, range), enabled: by === 'agent_version' && agent !== undefined });

  const narrow: RunsSearch = { ...(agent === undefined ? {} : { agent: [agent] }), ...(env === undefined ? {} : { env }) };
  const sides = ((): Sides | undefined => {
    if (by === 'time') {
      const times = twoTimes(range, BACK_MS[search.against ?? 'previous']);
      if (times === undefined) return undefined;
      const runs = (times: string) => {
        const [from, to] = times.split('/');
        return { ...narrow, from, to };
      };
      return { ...times, runs: { base: runs(times.base), candidate: runs(times.candidate) } };
    }
    const known = by === 'environment' ? names : (versions.data?.versions ?? []).map(({ agent_version }) => agent_version);
    // The two newest versions, the newest being the candidate; of environments the two with most runs.
    const [first, second] = by === 'environment' ? known : [known[1], known[0]];
    const base = search.base ?? (first === search.candidate ? second : first);
    const candidate = search.candidate ?? (second === base ? first : second);
    if (base === undefined || candidate === undefined || base === candidate) return undefined;
    const runs = (name: string): RunsSearch => ({ ...narrow, ...(by === 'environment' ? { env: [name] } : { version: [name] }) });
    return { base, candidate, runs: { base: runs(base), candidate: runs(candidate) } };
  })();

  const query = useQuery({
    ...comparison(what, { base: sides?.base ?? '', candidate: sides?.candidate ?? '' }, range),
    enabled: sides !== undefined,
  });
  const options = (values: readonly string[], chosen: string | undefined) =>
    [...new Set([...values, ...(chosen === undefined ? [] : [chosen])])].map((value) => ({ value, label: value }));
  const sideNames = by === 'environment' ? names : (versions.data?.versions ?? []).map(({ agent_version }) => agent_version);
  const isLoading = agents.isPending || (by === 'agent_version' && agent !== undefined && versions.isPending) || environments.isPending;

  return (
    <>
      <PageHeader title="Compare versions">
        <CopyButton label="Copy link" icon={<Link2 size={14} aria-hidden="true" />} text={() => location.href} />
      </PageHeader>
      <div className="flex shrink-0 flex-wrap items-end gap-x-3 gap-y-2 border-b border-line px-5 pb-3">
        <div className="flex flex-col gap-1">
          <span className="text-12 text-ink-2">Compare</span>
          <Segmented label="Compare" value={by} options={BY} onChange={(next) => set({ by: next === 'agent_version' ? undefined : next, base: undefined, candidate: undefined })} />
        </div>
        <SelectField
          label="Agent"
          className="w-44"
          value={agent ?? ''}
          options={[
            ...(by === 'agent_version' ? (agent === undefined ? [{ value: '', label: 'none' }] : []) : [{ value: '', label: 'all agents' }]),
            ...options(agents.data?.agents.map(({ agent_id }) => agent_id) ?? [], agent),
          ]}
          onChange={(next) => set({ agent: next === '' ? undefined : next, base: undefined, candidate: undefined })}
        />
        {by !== 'environment' && (
          <SelectField
            label="Environment"
            className="w-40"
            value={env?.length === 1 ? (env[0] ?? '') : ''}
            options={[{ value: '', label: env !== undefined && env.length > 1 ? env.join(', ') : 'all environments' }, ...options(names, env?.length === 1 ? env[0] : undefined)]}
            onChange={(next) => set({ env: next === '' ? undefined : [next] })}
          />
        )}
        {by === 'time' ? (
          <SelectField
            label="Time range against"
            value={search.against ?? 'previous'}
            options={[
              { value: 'previous', label: 'the same length before' },
              { value: 'day', label: 'a day earlier' },
              { value: 'week', label: 'a week earlier' },
            ]}
            onChange={(next) => set({ against: next === 'previous' ? undefined : next })}
          />
        ) : (
          <>
            <SelectField label="Base" className="w-28" value={sides?.base ?? search.base ?? ''} options={options(sideNames, sides?.base ?? search.base ?? '')} onChange={(base) => set({ base, candidate: sides?.candidate === base ? sides.base : sides?.candidate })} />
            <Button
              aria-label="Swap base and candidate"
              title="Swap base and candidate"
              icon={<ArrowLeftRight size={14} aria-hidden="true" />}
              disabled={sides === undefined}
              onClick={() => set({ base: sides?.candidate, candidate: sides?.base })}
            />
            <SelectField label="Candidate" className="w-28" value={sides?.candidate ?? search.candidate ?? ''} options={options(sideNames, sides?.candidate ?? search.candidate ?? '')} onChange={(candidate) => set({ candidate, base: sides?.base === candidate ? sides.candidate : sides?.base })} />
          </>
        )}
        <ToggleChip on={search.differs === true} onToggle={() => set({ differs: search.differs === true ? undefined : true })}>
          only what differs
        </ToggleChip>
      </div>
      <div className="scroll-quietly min-h-0 grow overflow-auto px-5 pb-5">
        {sides !== undefined ? (
          <Answer query={query} loading={<SkeletonRows rows={18} />}>
            {(found) => <Result comparison={found} sides={sides} onlyDiffering={search.differs === true} zone={range.zone} />}
          </Answer>
        ) : (
          <Answer<unknown> query={by === 'agent_version' && agents.data !== undefined && agent !== undefined ? versions : agents} loading={<SkeletonRows rows={18} />}>
            {() => (isLoading ? <SkeletonRows rows={18} /> : <NoSides by={by} known={sideNames} agent={agent} hasRange={range.start !== undefined && range.end !== undefined} />)}
          </Answer>
        )}
      </div>
    </>
  );
}

/** Why there are no two sides, and what can be done. */
function NoSides({ by, known, agent, hasRange }: { by: CompareBy; known: readonly string[]; agent: string | undefined; hasRange: boolean }) {
  const longer = (
    <Link to="." search={(before) => ({ ...before, from: 'all', to: undefined })} className={buttonClass()}>
      All time
    </Link>
  );
  if (by === 'time') {
    return hasRange ? (
      <Empty title="The two times overlap">The range is longer than that. Choose a shorter range, or the same length before.</Empty>
    ) : (
      <Empty title="Choose a time range with a beginning and an end">The time of the same length right before it is what it is compared with.</Empty>
    );
  }
  if (by === 'agent_version' && agent === undefined) return <Empty title="No agent has a run in this time range" action={longer} />;
  const [only] = known;
  const of = agent === undefined ? '' : ` of ${agent}`;
  const what = by === 'environment' ? 'environment' : 'version';
  return (
    <Empty title={only === undefined ? `No ${what}${of} has a run in this time range` : `There is one ${what}${of} in this time range: ${only}`} action={longer}>
      Two are needed. A longer time range may have another one.
    </Empty>
  );
}

/** The name of a side; of a time, its times. */
function sideName(name: string, by: string, zone: Zone): ReactNode {
  if (by !== 'time') return <span className="font-mono">{name}</span>;
  const [start = '', end = ''] = name.split('/');
  return (
    <span className="font-mono text-13">
      {dateTime(start, zone).slice(0, 16)} – {dateTime(end, zone).slice(0, 16)}
    </span>
  );
}

function Result({ comparison, sides, onlyDiffering, zone }: { comparison: Comparison; sides: Sides; onlyDiffering: boolean; zone: Zone }) {
  const groups = compareGroups(comparison, onlyDiffering);
  const side = (name: 'base' | 'candidate') => (
    <Figure name={name === 'base' ? 'Base' : 'Candidate'} detail={`${count(comparison[name].runs)} runs`}>
      <Link to="/runs" search={sides.runs[name]} className="hover:underline">
        {sideName(comparison[name].name, comparison.by, zone)}
      </Link>
    </Figure>
  );
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-6 gap-y-2 py-3">
        <div className="min-w-0 max-lg:w-full lg:w-1/2">
          <Figures label="Both sides">
            {side('base')}
            {side('candidate')}
            <Figure name="Comparisons that differ" detail={`of ${count(comparison.tested)}`}>
              {count(comparison.significant)}
            </Figure>
          </Figures>
        </div>
        <p className="max-w-[70ch] min-w-64 flex-1 text-13 text-ink-2" role="status">
          {comparison.state === 'not_enough_data' && <strong className="font-semibold text-partial">◐ </strong>}
          {summary(comparison)}
        </p>
      </div>
      {groups.length === 0 ? (
        <Empty title={onlyDiffering ? 'Nothing was shown to differ' : 'There is nothing to compare'}>
          {onlyDiffering && 'What was compared is shown when “only what differs” is off.'}
        </Empty>
      ) : (
        <Lines groups={groups} runs={sides.runs} />
      )}
    </>
  );
}
