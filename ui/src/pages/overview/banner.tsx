/** What fails most, in one line, and the way to its newest run. */

import { Link } from '@tanstack/react-router';

import { useNow } from '../../app/clock.ts';
import { useZone } from '../../app/range.tsx';
import type { Cluster, Failures } from '../../api/types.ts';
import { ago, clock, counted } from '../../format/index.ts';
import { stepSearch } from '../../parts/cluster-words.ts';
import { FailureName, StepLabel } from '../../parts/cluster.tsx';
import { buttonClass } from '../../ui/button.tsx';
import { Key } from '../../ui/field.tsx';
import { Skeleton } from '../../ui/state.tsx';

const LINE = 'flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-y px-5 py-1.5 text-13';

/** The line is there before its answer, and where nothing failed, too: what comes later would move what is read. */
export function FailingMost({ failures, isAsked }: { failures: Failures | undefined; isAsked: boolean }) {
  const [cluster] = failures?.clusters ?? [];
  if (cluster !== undefined) return <Failing cluster={cluster} />;
  return (
    <section aria-label="Failing most" className={`${LINE} border-line text-ink-2`}>
      {failures !== undefined ? (
        <span>
          <span aria-hidden="true" className="text-success">
            ✓
          </span>{' '}
          No run failed in this time
        </span>
      ) : (
        isAsked && <Skeleton className="h-3 w-72" />
      )}
    </section>
  );
}

function Failing({ cluster }: { cluster: Cluster }) {
  const zone = useZone();
  const now = useNow();
  const { cause, versions } = cluster;
  const [newest] = cluster.examples;
  return (
    <section
      aria-label="Failing most"
      className={`${LINE} border-failure/30 bg-failure-soft`}
    >
      <FailureName cause={cause} />
      <p className="flex min-w-0 flex-wrap items-center gap-x-1.5 text-ink-2">
        {cause?.step !== null && cause?.step !== undefined && (
          <>
            at <StepLabel step={cause.step} />
          </>
        )}
        {cause !== null && (
          <>
            of <strong className="font-semibold text-ink">{cause.agent_id}</strong>
          </>
        )}
        {versions[0] !== undefined && (
          <span className="font-mono text-12">
            {versions[0].agent_version}
            {versions.length > 1 ? ` and ${versions.length - 1} more` : ''}
          </span>
        )}
        <span>
          · {counted(cluster.runs, 'run')} since {clock(cluster.first_seen, zone, now)}, last {ago(cluster.last_seen, now)}
        </span>
      </p>
      {newest !== undefined && (
        <Link
          to="/runs/$runId"
          params={{ runId: newest }}
          search={stepSearch(cause)}
          className={`${buttonClass('danger', true)} ml-auto`}
        >
          Open the newest <Key>F</Key>
        </Link>
      )}
    </section>
  );
}
