/** Two versions of an agent side by side: their numbers, and where their time goes. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';

import { versionLatencyQuery } from '../../api/queries.ts';
import type { StepType, Version, VersionLatency } from '../../api/types.ts';
import { useRange } from '../../app/range.tsx';
import { count, duration, percent, pointsChange, relativeChange, shareText, type Change } from '../../format/index.ts';
import { Answer } from '../../parts/answer.tsx';
import { ChangeText } from '../../parts/change.tsx';
import { StepMark } from '../../parts/marks.tsx';
import { useBreakpoint } from '../../ui/breakpoint.ts';
import { LINK } from '../../ui/class.ts';
import { Section } from '../../ui/section.tsx';
import { SkeletonRows } from '../../ui/state.tsx';
import { apiFilter, type FilterSearch } from '../../url/filter.ts';
import { PairBars } from './pair-bars.tsx';

/** How many steps by name are shown: those that take the most time. */
const STEPS = 12;

interface Side {
  version: Version;
  latency: VersionLatency | undefined;
}

interface Measure {
  name: string;
  text: (side: Side) => string;
  change: (base: Side, candidate: Side) => Change | undefined;
  worse: 'up' | 'down' | 'neither';
}

const rate = (part: number, of: number) => (of === 0 ? null : (100 * part) / of);
const relative = (pick: (side: Side) => number | null | undefined) => (base: Side, candidate: Side) => relativeChange(pick(candidate), pick(base));
const points = (pick: (side: Side) => number | null | undefined) => (base: Side, candidate: Side) => pointsChange(pick(candidate), pick(base));
const time = (name: string, pick: (side: Side) => number | null | undefined): Measure => ({
  name,
  text: (side) => duration(pick(side)),
  change: relative(pick),
  worse: 'up',
});

const MEASURES: readonly Measure[] = [
  { name: 'Runs', text: ({ version }) => count(version.runs), change: relative(({ version }) => version.runs), worse: 'neither' },
  {
    name: 'Failure rate',
    text: ({ version }) => percent(version.failure_rate),
    change: points(({ version }) => version.failure_rate),
    worse: 'up',
  },
  {
    name: 'Partial',
    text: ({ version }) => shareText(version.by_status.partial, version.runs),
    change: points(({ version }) => rate(version.by_status.partial, version.runs)),
    worse: 'up',
  },
  {
    name: 'Runs with retries',
    text: ({ version }) => shareText(version.runs_with_retries, version.runs),
    change: points(({ version }) => rate(version.runs_with_retries, version.runs)),
    worse: 'up',
  },
  {
    name: 'Steps a run',
    text: ({ version }) => (version.steps / Math.max(1, version.runs)).toFixed(1),
    change: relative(({ version }) => version.steps / Math.max(1, version.runs)),
    worse: 'neither',
  },
  time('Duration p50', ({ version }) => version.duration_ms.p50),
  time('Duration p95', ({ version }) => version.duration_ms.p95),
  time('Duration p99', ({ version }) => version.duration_ms.p99),
  time('Idle between steps, mean', ({ latency }) => latency?.idle_ms.mean),
  time('Lost to retries, mean', ({ latency }) => latency?.retry_waste_ms.mean),
  time('Critical path p50', ({ latency }) => latency?.critical_path_ms.p50),
  time('Critical path p95', ({ latency }) => latency?.critical_path_ms.p95),
];

export function SideBySide({
  agentId,
  base,
  candidate,
  filters,
}: {
  agentId: string;
  /** The older one; the only one when there is no other. */
  base: Version;
  candidate: Version | undefined;
  filters: FilterSearch;
}) {
  const filter = apiFilter(filters, useRange());
  const baseLatency = useQuery(versionLatencyQuery(agentId, base.agent_version, filter));
  const candidateLatency = useQuery({
    ...versionLatencyQuery(agentId, candidate?.agent_version ?? '', filter),
    enabled: candidate !== undefined,
  });
  const sides: Side[] = [
    { version: base, latency: baseLatency.data },
    ...(candidate === undefined ? [] : [{ version: candidate, latency: candidateLatency.data }]),
  ];
  const [left, right] = sides;
  return (
    <div className="grid lg:grid-cols-[minmax(0,444px)_minmax(0,1fr)] lg:divide-x lg:divide-line xl:grid-cols-[minmax(0,456px)_minmax(0,1fr)]">
      <Section
        title={candidate === undefined ? `Version ${base.agent_version}` : 'Side by side'}
        flush
        aside={
          candidate !== undefined && (
            <Link to="/versions" search={{ agent: agentId, base: base.agent_version, candidate: candidate.agent_version }} className={LINK}>
              How sure is it? →
            </Link>
          )
        }
      >
        <div className="px-2">
          <table className="w-full border-collapse text-13" aria-label="Numbers of the versions side by side">
            <thead>
              <tr className="border-y border-line bg-panel text-12 text-ink-2">
                <th scope="col" className="h-7 px-3 text-left font-medium">
                  <span className="sr-only">Number</span>
                </th>
                {sides.map(({ version }, at) => (
                  <th key={version.agent_version} scope="col" className="px-3 text-right font-mono font-medium whitespace-nowrap">
                    <VersionMark at={at} /> {version.agent_version}
                  </th>
                ))}
                {right !== undefined && (
                  <th scope="col" className="px-3 text-right font-medium">
                    Change
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {MEASURES.map((measure) => (
                <tr key={measure.name} className="h-(--row) border-b border-line last:border-0 hover:bg-panel">
                  <th scope="row" className="px-3 text-left font-normal whitespace-nowrap text-ink-2">
                    {measure.name}
                  </th>
                  {sides.map((side) => (
                    <td key={side.version.agent_version} className="px-3 text-right font-mono text-12 whitespace-nowrap">
                      {measure.text(side)}
                    </td>
                  ))}
                  {left !== undefined && right !== undefined && (
                    <td className="px-3 text-right">
                      <ChangeText worse={measure.worse} change={measure.change(left, right)} missing="—" />
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Section>
      <Section title="Where the time goes" flush aside="latency of all steps of a type in a run: p50, and up to p95">
        <Answer query={baseLatency} loading={<SkeletonRows rows={8} />}>
          {() => <Latencies sides={sides} />}
        </Answer>
      </Section>
    </div>
  );
}

/** The sign of a side: what is drawn of it is filled, or hollow. */
function VersionMark({ at }: { at: number }) {
  return (
    <span aria-hidden="true" className={at === 0 ? 'text-ink-3' : 'text-accent'}>
      {at === 0 ? '○' : '●'}
    </span>
  );
}

interface LatencyRow {
  key: string;
  type: StepType;
  name: string | undefined;
  /** Of each side; `undefined` where it has no such step. */
  sides: ({ p50: number | null; p95: number | null; share: number; runs: number } | undefined)[];
}

function Latencies({ sides }: { sides: readonly Side[] }) {
  const known = sides.map(({ latency }) => latency);
  const types = [...new Set(known.flatMap((latency) => latency?.by_step_type.map(({ step_type }) => step_type) ?? []))];
  const byType: LatencyRow[] = types.map((type) => ({
    key: type,
    type: type,
    name: undefined,
    sides: known.map((latency) => {
      const found = latency?.by_step_type.find(({ step_type }) => step_type === type);
      return found === undefined ? undefined : { ...found.latency_ms, share: found.share };
    }),
  }));
  const names = new Map<string, LatencyRow & { share: number }>();
  for (const latency of known) {
    for (const step of latency?.by_step ?? []) {
      const key = `${step.step_type}/${step.name}`;
      if (names.has(key)) continue;
      const of = known.map((one) => one?.by_step.find(({ name, step_type }) => name === step.name && step_type === step.step_type));
      names.set(key, {
        key,
        type: step.step_type,
        name: step.name,
        sides: of.map((found) => (found === undefined ? undefined : { ...found.latency_ms, share: found.share })),
        share: Math.max(...of.map((found) => found?.share ?? 0)),
      });
    }
  }
  const byName = [...names.values()].toSorted((a, b) => b.share - a.share);
  return (
    <>
      <LatencyTable label="Latency by step type" rows={byType} sides={sides} />
      <h3 className="flex h-8 items-center border-t border-line px-5 text-12 font-semibold">
        By step
        <span className="ml-auto font-normal text-ink-3">
          {count(Math.min(STEPS, byName.length))} of {count(byName.length)}, the greatest share of the time first
        </span>
      </h3>
      <LatencyTable label="Latency by step" rows={byName.slice(0, STEPS)} sides={sides} />
    </>
  );
}

function LatencyTable({ label, rows, sides }: { label: string; rows: readonly LatencyRow[]; sides: readonly Side[] }) {
  const max = Math.max(1, ...rows.flatMap((row) => row.sides.map((side) => side?.p95 ?? 0)));
  const two = sides.length > 1;
  const wide = useBreakpoint()('xl');
  return (
    <div className="scroll-quietly relative overflow-x-auto px-2" role="region" aria-label={label} tabIndex={0}>
      <table className="w-full border-collapse text-13">
        <caption className="sr-only">{label}</caption>
        <thead>
          <tr className="border-y border-line bg-panel text-12 text-ink-2">
            <th scope="col" className="h-7 w-40 px-3 text-left font-medium">
              Step
            </th>
            <th scope="col" className="px-3 text-left font-medium">
              <span className="sr-only">p50 to p95, drawn</span>
              <span aria-hidden="true" className="font-mono font-normal">
                0 – {duration(max)}
              </span>
            </th>
            {sides.map(({ version }, at) => (
              <th key={version.agent_version} scope="col" className="px-3 text-right font-medium whitespace-nowrap">
                <VersionMark at={at} /> <span className="font-mono">{version.agent_version}</span> p50 / p95
              </th>
            ))}
            {two && (
              <th scope="col" className="px-3 text-right font-medium">
                p95
              </th>
            )}
            {wide && (
              <th scope="col" className="px-3 text-right font-medium whitespace-nowrap">
                Share
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.key} className="h-(--row) border-b border-line last:border-0 hover:bg-panel">
              <th scope="row" className="px-3 text-left font-normal">
                <span className="inline-flex max-w-44 items-center gap-1.5">
                  <StepMark type={row.type} />
                  <span className="truncate">{row.name ?? row.type}</span>
                </span>
              </th>
              <td className="w-full min-w-32 px-3">
                <PairBars type={row.type} max={max} sides={row.sides} />
              </td>
              {row.sides.map((side, at) => (
                <td key={at} className="px-3 text-right font-mono text-12 whitespace-nowrap">
                  {side === undefined ? <span className="text-ink-3">—</span> : `${duration(side.p50)} / ${duration(side.p95)}`}
                </td>
              ))}
              {two && (
                <td className="px-3 text-right">
                  <ChangeText worse="up" change={relativeChange(row.sides[1]?.p95, row.sides[0]?.p95)} missing={row.sides[0] === undefined ? 'new' : row.sides[1] === undefined ? 'gone' : '—'} />
                </td>
              )}
              {wide && <td className="px-3 text-right font-mono text-12 whitespace-nowrap text-ink-2">{row.sides.map((side) => percent(side?.share)).join(' → ')}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
