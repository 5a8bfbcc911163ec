/** The table of a comparison: both sides, the difference with its interval, and how sure it is. */

import { Link } from '@tanstack/react-router';

import { IntervalAxis, IntervalBar } from '../../charts/interval-bar.tsx';
import { pText, STATE_TEXT, type CompareGroup, type CompareLine, type SideText } from '../../compare/versions.ts';
import { cx } from '../../ui/class.ts';
import { Later } from '../../ui/later.tsx';
import type { RunsSearch } from '../../url/filter.ts';

type SideRuns = RunsSearch & { from?: string; to?: string };
/** The cells that say how sure a line is. A hidden cell would be none for a screen reader, either. */
const SURE = 'max-md:p-0 md:truncate md:px-2';
/** How many groups are rendered before the page is shown; the others follow at once, in pieces. */
const FIRST = 1;
const UNITS = { points: '', percent: '%' } as const;

export function Lines({ groups, runs }: { groups: readonly CompareGroup[]; runs: { base: SideRuns; candidate: SideRuns } }) {
  return (
    <div className="scroll-quietly relative overflow-x-auto" role="region" aria-label="What was compared" tabIndex={0}>
      <table className="w-full table-fixed border-collapse text-13 md:min-w-[1040px]">
        <colgroup>
          <col className="w-[38%] md:w-[20%]" />
          <col className="w-[19%] md:w-[12.5%]" />
          <col className="w-[19%] md:w-[12.5%]" />
          <col className="max-md:hidden" />
          <col className="w-[24%] md:w-[21%]" />
          {/* On a phone there is no room for it, but who hears the table does not need any. */}
          <col className="w-0 md:w-[18%] 2xl:w-[22%]" />
        </colgroup>
        {groups.slice(0, FIRST).map((group) => (
          <Group key={group.id} group={group} runs={runs} />
        ))}
        <Later>
          {groups.slice(FIRST).map((group) => (
            <Group key={group.id} group={group} runs={runs} />
          ))}
        </Later>
      </table>
    </div>
  );
}

function Group({ group, runs }: { group: CompareGroup; runs: { base: SideRuns; candidate: SideRuns } }) {
  return (
    <tbody>
      <tr className="border-y border-line bg-panel text-12 text-ink-2">
        <th scope="col" className="h-7 truncate px-2 text-left font-semibold text-ink">
          {group.title}
        </th>
        <th scope="col" className="px-2 text-right font-medium">
          Base
        </th>
        <th scope="col" className="px-2 text-right font-medium">
          Candidate
        </th>
        <th scope="col" className="px-2 font-medium max-md:hidden">
          <span className="sr-only">Interval</span>
          <IntervalAxis reach={group.reach} unit={UNITS[group.unit]} />
        </th>
        <th scope="col" className="truncate px-2 font-medium max-md:text-right md:text-left">
          {group.unit === 'points' ? 'Points' : 'Change'}
          <span className="max-md:sr-only"> (95 %)</span>
        </th>
        <th scope="col" className={cx('relative text-left font-medium', SURE)}>
          <span className="max-md:sr-only">How sure</span>
        </th>
      </tr>
      {group.lines.map((line) => (
        <Line key={line.id} line={line} reach={group.reach} runs={runs} sure={isSure(group.lines, line)} />
      ))}
      {group.note !== undefined && (
        <tr>
          <td colSpan={6} className="h-(--row) px-2 text-12 text-ink-3">
            {group.note}
          </td>
        </tr>
      )}
      <tr aria-hidden="true">
        <td colSpan={6} className="h-4" />
      </tr>
    </tbody>
  );
}

/** Whether the difference was shown; a part is as sure as what it belongs to. */
function isSure(lines: readonly CompareLine[], line: CompareLine): boolean {
  for (let at = lines.indexOf(line); at >= 0; at--) {
    const head = lines[at];
    if (head?.state !== undefined) return head.state === 'significant';
  }
  return false;
}

function Line({ line, reach, runs, sure }: { line: CompareLine; reach: number; runs: { base: SideRuns; candidate: SideRuns }; sure: boolean }) {
  const { title, isPart, base, candidate, difference, interval, state } = line;
  return (
    <tr className="border-b border-line hover:bg-panel">
      <th scope="row" title={title} className={cx('h-(--row) px-2 text-left max-md:py-0.5 md:truncate', isPart ? 'pl-8 font-normal text-ink-2' : sure ? 'font-semibold' : 'font-normal')}>
        <div className="max-md:flex max-md:items-baseline md:truncate">
          {!isPart && (
            <span aria-hidden="true" className={cx('mr-2 inline-block w-2.5 shrink-0', sure ? 'text-accent' : 'text-ink-3')}>
              {sure ? '●' : state === 'not_significant' ? '○' : '·'}
            </span>
          )}
          <span className="max-md:min-w-0 max-md:wrap-anywhere">{title}</span>
        </div>
      </th>
      <Side text={base} line={line} runs={runs.base} side="base" />
      <Side text={candidate} line={line} runs={runs.candidate} side="candidate" />
      <td className="px-2 max-md:hidden">{interval === undefined ? null : <IntervalBar interval={interval} reach={reach} sure={sure} />}</td>
      <td className="truncate px-2 font-mono text-12 max-md:text-right" title={difference}>
        {difference === undefined ? null : (
          <>
            <span className={sure ? 'font-semibold' : undefined}>{difference.split(' (')[0]}</span>
            {difference.includes(' (') && <span className="text-11 text-ink-3 max-md:sr-only"> ({difference.split(' (')[1]}</span>}
          </>
        )}
      </td>
      <td className={cx('relative text-12', SURE)}>
        {state !== undefined && (
          <span className="max-md:sr-only">
            <span className={sure ? 'font-semibold text-accent' : 'text-ink-3'}>{STATE_TEXT[state]}</span>
            {line.pAdjusted !== null && <span className="ml-2 font-mono text-ink-2">{pText(line.pAdjusted)}</span>}
            {line.effect !== undefined && (
              <span className="ml-2 font-mono text-ink-3 max-2xl:hidden">
                {line.effect.name} {line.effect.size.toFixed(2).replace('-', '−')}
              </span>
            )}
          </span>
        )}
      </td>
    </tr>
  );
}

function Side({ text, line, runs, side }: { text: SideText | undefined; line: CompareLine; runs: SideRuns; side: string }) {
  if (text === undefined) return <td />;
  const shown = (
    <>
      <span className="font-mono text-12">{text.text}</span>
      <span className="ml-2 text-11 text-ink-3 max-md:hidden">{text.detail}</span>
    </>
  );
  return (
    <td className="truncate px-2 text-right whitespace-nowrap">
      {line.runs === undefined ? (
        shown
      ) : (
        <Link to="/runs" search={{ ...runs, ...line.runs }} aria-label={`${line.title}, ${side}: ${text.text}, ${text.detail}; show these runs`} className="hover:underline">
          {shown}
        </Link>
      )}
    </td>
  );
}
