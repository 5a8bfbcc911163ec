/** Choosing the runs that are compared: a run by its id, or one of the newest. */

import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';

import { firstRunsQuery, runQuery } from '../../api/queries.ts';
import type { RunSummary } from '../../api/types.ts';
import { useNow } from '../../app/clock.ts';
import { useRange } from '../../app/range.tsx';
import { clock, count, duration } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { StatusWord } from '../../parts/marks.tsx';
import { Button } from '../../ui/button.tsx';
import { TextField } from '../../ui/field.tsx';
import { Empty, SkeletonRows } from '../../ui/state.tsx';
import { Table, type Column } from '../../ui/table.tsx';
import { rangeQuery } from '../../url/range.ts';
import { Side } from './side.tsx';

const HOW_MANY = 50;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function ChooseRun({ a, b }: { a: string | undefined; b: string | undefined }) {
  const search = useSearch({ from: '/compare' });
  const navigate = useNavigate({ from: '/compare' });
  const range = useRange();
  const now = useNow();
  const chosen = a ?? b;
  const side = a === undefined ? 'A' : 'B';
  const run = useQuery({ ...runQuery(chosen ?? ''), enabled: chosen !== undefined }).data;
  // What is compared is most often of the same agent.
  const query = useQuery(firstRunsQuery({ ...rangeQuery(range), ...(run === undefined ? {} : { agent_id: [run.agent_id] }) }, HOW_MANY));
  const [id, setId] = useState('');
  const text = id.trim();
  const wrong = text !== '' && (!UUID.test(text) || text === chosen);
  const withRun = (runId: string) => ({ ...search, [side === 'A' ? 'a' : 'b']: runId });
  const columns: Column<RunSummary>[] = [
    { id: 'status', title: 'Status', width: '110px', cell: ({ status }) => <StatusWord status={status} /> },
    {
      id: 'run',
      title: 'Run',
      mono: true,
      cell: ({ run_id }) => (
        <Link to="/compare" search={withRun(run_id)} className="text-accent hover:underline" aria-label={`Compare with ${run_id}`}>
          {run_id}
        </Link>
      ),
    },
    { id: 'agent', title: 'Agent', cell: ({ agent_id }) => agent_id },
    { id: 'version', title: 'Version', mono: true, cell: ({ agent_version }) => agent_version },
    { id: 'failure', title: 'Failure', cell: ({ failures: [first] }) => (first === undefined ? '' : `${first.failure_type}/${first.failure_code}`) },
    { id: 'started', title: 'Started', mono: true, cell: ({ started_at }) => clock(started_at, range.zone, now) },
    { id: 'duration', title: 'Duration', align: 'end', mono: true, cell: ({ duration_ms }) => duration(duration_ms) },
    { id: 'steps', title: 'Steps', align: 'end', mono: true, cell: ({ step_count }) => count(step_count) },
  ];
  return (
    <div className="scroll-quietly min-h-0 grow overflow-auto px-5 pb-5">
      <p className="flex flex-wrap items-center gap-2 pb-3 text-13 text-ink-2">
        {chosen === undefined ? (
          'Two runs are compared step by step. Choose the first one here, or select two in the list of runs and press C.'
        ) : (
          <>
            <Side side={side === 'A' ? 'B' : 'A'} />
            <span>
              <span className="font-mono text-12 text-ink">{chosen}</span>
            {run !== undefined && ` of ${run.agent_id}`} is one side. Choose the other one.
            </span>
          </>
        )}
      </p>
      <form
        className="flex flex-wrap items-end gap-2 pb-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (text !== '' && !wrong) void navigate({ search: withRun(text.toLowerCase()) });
        }}
      >
        <TextField
          label={`Id of run ${side}`}
          className="w-96 max-w-full font-mono"
          value={id}
          aria-invalid={wrong}
          placeholder="01997f3c-5b0e-7c41-a3d2-6e1f0b9ad412"
          onChange={(event) => setId(event.target.value)}
        />
        <Button type="submit" disabled={text === '' || wrong}>
          Compare
        </Button>
      </form>
      <Answer query={query} loading={<SkeletonRows rows={14} />}>
        {({ runs }) =>
          runs.length === 0 ? (
            <Empty title="No run in this time range">A longer range may have some.</Empty>
          ) : (
            <Table label="Newest runs" columns={columns} rows={runs.filter(({ run_id }) => run_id !== chosen)} rowKey={({ run_id }) => run_id} />
          )
        }
      </Answer>
    </div>
  );
}
