/** All agents, each with its numbers and how they changed. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';

import { agentList } from '../api/first.ts';
import { agentsQuery } from '../api/queries.ts';
import type { Agent, Agents } from '../api/types.ts';
import { useBefore } from '../app/before.ts';
import { useNow } from '../app/clock.ts';
import { useKeys } from '../app/keys.ts';
import { useRange } from '../app/range.tsx';
import { count, counted, duration } from '../format/index.ts';
import { AggregatePage } from '../parts/aggregate.tsx';
import { groupColumns, groupNumber, type GroupRow } from '../parts/group-columns.tsx';
import { RunSpark } from '../parts/run-spark.tsx';
import { Button } from '../ui/button.tsx';
import { Key, TextField } from '../ui/field.tsx';
import { Empty } from '../ui/state.tsx';
import { VirtualTable, type Column } from '../ui/table.tsx';
import { readFilter, type FilterSearch } from '../url/filter.ts';
import type { AgentsSearch } from '../url/pages.ts';

const ROW = 26;
/** Of so many agents a small chart is shown: each is a question. */
const CHARTS = 12;

interface Row extends GroupRow {
  agent: Agent;
  /** Whether it has a chart. */
  chart: boolean;
}

export default function AgentsPage() {
  const search = useSearch({ from: '/agents' });
  const filters = readFilter({ ...search });
  const range = useRange();
  const agents = useQuery(agentList(filters, range));
  return (
    <AggregatePage title="Agents" what="No agents" filters={filters} without={['agent']} query={agents} hasRuns={(data) => data.total_agents > 0}>
      {(data) => <Found data={data} filters={filters} search={search} />}
    </AggregatePage>
  );
}

/** The order of the names where numbers are the same. */
function ordered(agents: readonly Agent[], { sort = 'runs', order = 'desc' }: AgentsSearch): Agent[] {
  const sign = order === 'asc' ? 1 : -1;
  return agents.toSorted((a, b) => {
    const names = a.agent_id.localeCompare(b.agent_id);
    if (sort === 'agent') return sign * names;
    const difference = sort === 'versions' ? a.versions - b.versions : groupNumber(a, sort) - groupNumber(b, sort);
    return sign * difference || names;
  });
}

function Found({ data, filters, search }: { data: Agents; filters: FilterSearch; search: AgentsSearch }) {
  const range = useRange();
  const now = useNow();
  const navigate = useNavigate({ from: '/agents' });
  const beforeFilter = useBefore(filters);
  const before = useQuery({ ...agentsQuery(beforeFilter ?? {}), enabled: beforeFilter !== undefined }).data;
  const find = (search.find ?? '').toLowerCase();
  const rows = ordered(data.agents, search)
    .filter(({ agent_id }) => agent_id.toLowerCase().includes(find))
    .map(
      (agent, at): Row => ({
        agent,
        chart: at < CHARTS,
        now: agent,
        before: before === undefined ? undefined : (before.agents.find(({ agent_id }) => agent_id === agent.agent_id) ?? null),
        filter: { ...filters, agent: [agent.agent_id] },
      }),
    );
  // Which row the keys are about is of no interest to anybody else, so it is not in the URL.
  const [active, setActive] = useState<number>();
  const field = useRef<HTMLInputElement>(null);
  const open = ({ agent }: Row) => void navigate({ to: '/agents/$agentId', params: { agentId: agent.agent_id }, search: filters });
  const move = (by: number) => setActive((old) => (old === undefined ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, old + by))));
  const group = 'Agents';
  useKeys([
    { key: 'j', label: 'Next agent', group, run: () => move(1) },
    { key: 'ArrowDown', label: 'Next agent', group, run: () => move(1) },
    { key: 'k', label: 'Previous agent', group, run: () => move(-1) },
    { key: 'ArrowUp', label: 'Previous agent', group, run: () => move(-1) },
    { key: '/', label: 'Find an agent', group, run: () => field.current?.focus() },
    {
      key: 'Enter',
      label: 'Open the agent',
      group,
      run: () => {
        const row = active === undefined ? undefined : rows[active];
        if (row === undefined) return false;
        open(row);
        return true;
      },
    },
  ]);
  const columns: Column<Row>[] = [
    {
      id: 'agent',
      title: 'Agent',
      width: 'minmax(160px, 1.6fr)',
      sortable: true,
      cell: ({ agent }) => (
        <Link to="/agents/$agentId" params={{ agentId: agent.agent_id }} className="font-semibold hover:underline">
          {agent.agent_id}
        </Link>
      ),
    },
    { id: 'versions', title: 'Versions', width: '76px', from: 'xl', align: 'end', mono: true, sortable: true, cell: ({ agent }) => count(agent.versions) },
    ...groupColumns<Row>(range.zone, now),
    { id: 'waste', title: 'Lost to retries', width: '108px', from: '2xl', align: 'end', mono: true, cell: ({ agent }) => duration(agent.retry_waste_ms) },
    {
      id: 'failures',
      title: 'Failures over time',
      width: '132px',
      from: 'md',
      cell: (row) =>
        row.chart && row.now.by_status.failure > 0 ? (
          <RunSpark label={`Failed runs of ${row.agent.agent_id} over time`} filter={{ ...row.filter, status: ['failure'] }} />
        ) : null,
    },
  ];
  return (
    <>
      <div className="flex min-h-11 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-t border-line px-5 py-1.5">
        <FindField key={search.find} ref={field} value={search.find ?? ''} onChange={(text) => void navigate({ search: (old) => ({ ...old, find: text === '' ? undefined : text }), replace: true })} />
        <span className="ml-auto text-12 text-ink-3">
          {counted(data.total_agents, 'agent')}, {counted(data.total_runs, 'run')}
        </span>
      </div>
      <div className="min-h-0 grow border-t border-line">
        {rows.length === 0 ? (
          <Empty
            title="No agent of this name"
            action={<Button onClick={() => void navigate({ search: (old) => ({ ...old, find: undefined }) })}>Show all agents</Button>}
          >
            None of the {count(data.agents.length)} agents in this time has “{search.find}” in its name.
          </Empty>
        ) : (
          <VirtualTable
            label="Agents"
            columns={columns}
            rows={rows}
            rowKey={({ agent }) => agent.agent_id}
            rowHeight={ROW}
            sorting={{ by: search.sort ?? 'runs', order: search.order ?? 'desc' }}
            onSort={({ by, order }) =>
              void navigate({ search: (old) => ({ ...old, sort: by === 'runs' ? undefined : (by as AgentsSearch['sort']), order: order === 'desc' ? undefined : order }) })
            }
            active={active}
            onActivate={(_, at) => setActive(at)}
            onOpen={open}
            rowLabel={({ agent }) => agent.agent_id}
          />
        )}
      </div>
      <footer className="flex h-7 shrink-0 items-center gap-4 border-t border-line bg-panel px-5 text-12 text-ink-3">
        <span>
          {data.agents.length < data.total_agents ? `The ${count(data.agents.length)} with the most runs of ${count(data.total_agents)}` : `All ${counted(data.total_agents, 'agent')}`}
        </span>
        <span className="ml-auto hidden items-center gap-3 md:flex">
          <span>
            <Key>J</Key> <Key>K</Key> agent
          </span>
          <span>
            <Key>Enter</Key> open
          </span>
          <span>
            <Key>/</Key> find
          </span>
        </span>
      </footer>
    </>
  );
}

/** What is typed goes to the URL when the typing pauses; what comes from the URL is shown. */
function FindField({ value, onChange, ref }: { value: string; onChange: (text: string) => void; ref: React.Ref<HTMLInputElement> }) {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => latest.current(text), 200);
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <TextField
      label="Find an agent"
      hideLabel
      type="search"
      placeholder="Find an agent by name"
      icon={<Search size={14} aria-hidden="true" />}
      trailing={text === '' ? <Key>/</Key> : undefined}
      value={text}
      onChange={(event) => setText(event.target.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.blur();
      }}
      ref={ref}
      className="w-64"
    />
  );
}
