/** Two runs side by side: in which steps they part, and in what. */

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { ArrowLeftRight, Link2 } from 'lucide-react';
import { useMemo } from 'react';

import { runQuery } from '../api/queries.ts';
import { useTail } from '../api/tail.ts';
import type { Run } from '../api/types.ts';
import { PageHeader } from '../app/shell.tsx';
import { compareRuns } from '../compare/runs.ts';
import { Answer } from '../parts/answer.tsx';
import { Button, buttonClass } from '../ui/button.tsx';
import { CopyButton } from '../ui/copy.tsx';
import { Empty, SkeletonRows } from '../ui/state.tsx';
import { ChooseRun } from './compare-runs/choose.tsx';
import { Heads } from './compare-runs/heads.tsx';
import { Parts } from './compare-runs/parts.tsx';
import { Steps } from './compare-runs/steps.tsx';

export default function CompareRuns() {
  const { a, b } = useSearch({ from: '/compare' });
  const navigate = useNavigate({ from: '/compare' });
  return (
    <>
      <PageHeader title="Compare runs" range={a === undefined || b === undefined}>
        {a !== undefined && b !== undefined && (
          <>
            <Button
              icon={<ArrowLeftRight size={14} aria-hidden="true" />}
              onClick={() => void navigate({ search: (before) => ({ ...before, a: b, b: a, row: undefined }) })}
            >
              Swap sides
            </Button>
            <CopyButton label="Copy link" icon={<Link2 size={14} aria-hidden="true" />} text={() => location.href} />
          </>
        )}
      </PageHeader>
      {a === undefined || b === undefined ? <ChooseRun a={a} b={b} /> : <Both a={a} b={b} />}
    </>
  );
}

function Both({ a, b }: { a: string; b: string }) {
  const client = useQueryClient();
  const [queryA, queryB] = [useQuery(runQuery(a)), useQuery(runQuery(b))];
  const running = [queryA, queryB].some(({ data }) => data?.status === 'running');
  useTail(running, () => Promise.all([a, b].map((id) => client.invalidateQueries({ queryKey: ['run', id] }))), {
    concerns: ({ runs }) => runs === 'any' || runs.includes(a) || runs.includes(b),
  });
  if (a === b) {
    return (
      <Empty
        title="The same run stands on both sides"
        action={
          <Link to="/compare" search={{ a }} className={buttonClass()}>
            Choose another one
          </Link>
        }
      />
    );
  }
  const loading = <SkeletonRows rows={16} />;
  return (
    <Answer query={queryA} loading={loading}>
      {(runA) => (
        <Answer query={queryB} loading={loading}>
          {(runB) => <Comparison a={runA} b={runB} />}
        </Answer>
      )}
    </Answer>
  );
}

function Comparison({ a, b }: { a: Run; b: Run }) {
  const differences = useMemo(() => compareRuns(a, b), [a, b]);
  return (
    <div className="scroll-quietly flex min-h-0 grow flex-col overflow-y-auto lg:overflow-hidden">
      <Heads a={a} b={b} />
      <div className="flex min-h-0 grow flex-col border-t border-line lg:flex-row">
        <Steps a={a} b={b} differences={differences} />
        <Parts differences={differences} />
      </div>
    </div>
  );
}
