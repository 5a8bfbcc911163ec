/** The agents with the most runs, and the versions of those that have several. */

import { useQueries, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { agentsQuery, versionsQuery } from '../../api/queries.ts';
import { useBefore } from '../../app/before.ts';
import { useNow } from '../../app/clock.ts';
import { useRange } from '../../app/range.tsx';
import { count, counted } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { groupColumns, type GroupRow } from '../../parts/group-columns.tsx';
import { LINK } from '../../ui/class.ts';
import { Section } from '../../ui/section.tsx';
import { useSeen } from '../../ui/seen.ts';
import { SkeletonRows } from '../../ui/state.tsx';
import { Table, type Column } from '../../ui/table.tsx';
import { apiFilter, type FilterSearch } from '../../url/filter.ts';

/** How many agents are shown, and how many versions of each. */
const AGENTS = 8;
const VERSIONS = 4;

interface Row extends GroupRow {
  agent: string;
  /** Of an agent's own row: how many versions it has. */
  versions?: number;
  /** The one version that it has. */
  only?: string | undefined;
  /** Of a version's row. */
  version?: string;
}

export function TopAgents({ search }: { search: FilterSearch }) {
  const range = useRange();
  const now = useNow();
  const filter = apiFilter(search, range);
  const before = useBefore(search);
  const agents = useQuery(agentsQuery(filter));
  const was = useQuery({ ...agentsQuery(before ?? {}), enabled: before !== undefined });
  const shown = agents.data?.agents.slice(0, AGENTS) ?? [];
  const [box, seen] = useSeen();
  const versions = useQueries({ queries: shown.map(({ agent_id }) => ({ ...versionsQuery(agent_id, filter), enabled: seen })) });
  const versionsBefore = useQueries({
    // One version alone is shown in its agent's row, which has its changes already.
    queries: shown.map(({ agent_id, versions }) => ({ ...versionsQuery(agent_id, before ?? {}), enabled: seen && before !== undefined && versions > 1 })),
  });
  const rows = shown.flatMap((agent, at): Row[] => {
    const has = versions[at]?.data?.versions ?? [];
    const had = versionsBefore[at]?.data?.versions;
    const old = was.data?.agents.find(({ agent_id }) => agent_id === agent.agent_id);
    const own: Row = {
      agent: agent.agent_id,
      versions: agent.versions,
      only: agent.versions === 1 ? has[0]?.agent_version : undefined,
      now: agent,
      before: was.data === undefined ? undefined : (old ?? null),
      filter: { ...search, agent: [agent.agent_id] },
    };
    return [
      own,
      // One version alone would say the same again.
      ...(agent.versions === 1 ? [] : has.slice(0, VERSIONS)).map(
        (version): Row => ({
          agent: agent.agent_id,
          version: version.agent_version,
          now: version,
          before: had === undefined ? undefined : (had.find(({ agent_version }) => agent_version === version.agent_version) ?? null),
          filter: { ...search, agent: [agent.agent_id], version: [version.agent_version] },
        }),
      ),
    ];
  });
  const columns: Column<Row>[] = [
    {
      id: 'agent',
      title: 'Agent and version',
      cell: ({ agent, version, versions, only }) =>
        version === undefined ? (
          <span className="inline-flex items-center gap-2">
            <Link to="/agents/$agentId" params={{ agentId: agent }} className="font-semibold hover:underline">
              {agent}
            </Link>
            {only !== undefined && <span className="font-mono text-12 text-ink-2">{only}</span>}
            {versions !== undefined && versions > VERSIONS && <span className="text-12 text-ink-3">{counted(versions, 'version')}</span>}
          </span>
        ) : (
          <span className="inline-flex items-center gap-1.5 pl-3 font-mono text-12 text-ink-2">
            <span aria-hidden="true" className="text-ink-3">
              └
            </span>
            <Link to="/runs" search={{ ...search, agent: [agent], version: [version] }} className="hover:underline">
              {version}
            </Link>
          </span>
        ),
    },
    ...groupColumns<Row>(range.zone, now).map((column) => ({ ...column, sortable: false })),
  ];
  return (
    <Section
      title="Agents and versions"
      flush
      aside={
        <>
          {agents.data !== undefined && (
            <span>
              {count(shown.length)} of {counted(agents.data.total_agents, 'agent')}
            </span>
          )}
          <Link to="/agents" search={search} className={LINK}>
            All agents →
          </Link>
        </>
      }
    >
      <Answer query={agents} loading={<SkeletonRows rows={8} />}>
        {() => (
          <div ref={box} className="px-2">
            <Table label="Agents and their versions" columns={columns} rows={rows} rowKey={({ agent, version }) => `${agent}\n${version ?? ''}`} />
          </div>
        )}
      </Answer>
    </Section>
  );
}
