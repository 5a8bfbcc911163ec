/** What a comparison of two sides says, as lines of a page: pure. Words tell what changed, never whether that is welcome. */

import type { CompareDistribution, CompareQuantity, CompareRate, CompareState, Comparison } from '../api/types.ts';
import { count, dollars, duration, percent } from '../format/index.ts';
import type { RunsSearch } from '../url/filter.ts';

/** An estimate with its interval of 95 %, in the unit of its group's axis; an open end is one that the runs do not bound. */
export interface Interval {
  value: number;
  low: number | null;
  high: number | null;
}

/** One side of a line. */
export interface SideText {
  /** The number. */
  text: string;
  /** Of how many. */
  detail: string;
}

export interface CompareLine {
  id: string;
  title: string;
  /** What it belongs to: a category to its distribution, a percentile to its quantity. */
  isPart: boolean;
  base: SideText | undefined;
  candidate: SideText | undefined;
  /** The difference as a text; nothing where there is none to tell. */
  difference: string | undefined;
  interval: Interval | undefined;
  /** What was found out; a part says nothing of its own. */
  state: CompareState | undefined;
  /** How sure: the adjusted p-value. */
  pAdjusted: number | null;
  effect: { name: string; size: number } | undefined;
  /** Which runs of either side it is about; nothing where no filter names them. */
  runs: RunsSearch | undefined;
}

export type Unit = 'points' | 'percent';

export interface CompareGroup {
  id: string;
  title: string;
  /** What its axis counts in: percentage points, or percent of the base. */
  unit: Unit;
  /** How far the axis reaches to either side. */
  reach: number;
  lines: readonly CompareLine[];
  /** What is not shown, as a sentence. */
  note: string | undefined;
}

const MINUS = '−';
/** `+5.3`, `−0.02`: as many digits as tell something. */
function signed(number: number): string {
  const size = Math.abs(number);
  const digits = size === 0 || size >= 99.95 ? 0 : size >= 9.95 ? 1 : size >= 0.095 ? 1 : 2;
  const text = size.toFixed(digits);
  return Number(text) === 0 ? '0' : `${number < 0 ? MINUS : '+'}${text}`;
}

const withSign = (number: number, text: (number: number) => string) => `${number > 0 ? '+' : number < 0 ? MINUS : ''}${text(Math.abs(number))}`;

/** `+5.3 points (+3.1 to +7.6)` */
function withEnds(difference: string, ends: readonly (number | null)[] | null, format: (end: number) => string): string {
  if (ends === null) return difference;
  const [low = null, high = null] = ends;
  return `${difference} (${low === null ? 'open' : format(low)} to ${high === null ? 'open' : format(high)})`;
}

/** `p < 0.001`, `p 0.023` */
export function pText(p: number): string {
  if (p < 0.001) return 'p < 0.001';
  return `p ${p < 0.01 ? p.toFixed(3) : p.toFixed(2)}`;
}

/** What was found out, in words. */
export const STATE_TEXT: Record<CompareState, string> = {
  significant: 'differs',
  not_significant: 'no difference shown',
  not_enough_data: 'not enough data',
  too_many_values: 'too many different values',
};

const interval = (value: number, ends: readonly (number | null)[] | null, scale: number): Interval | undefined => {
  if (ends === null) return undefined;
  const [low = null, high = null] = ends;
  return { value: value * scale, low: low === null ? null : low * scale, high: high === null ? null : high * scale };
};

const shareText = ({ runs, count: number, share }: CompareRate['base']): SideText => ({
  text: percent(runs === 0 ? null : share * 100),
  detail: `${count(number)} of ${count(runs)}`,
});

const effectOf = (name: string, size: number | null) => (size === null ? undefined : { name, size });

const RATE_TITLES: Record<string, string> = { failure_rate: 'Runs that failed', retry_rate: 'Runs with retries' };

/** `tool_failure/timeout=true` in its parts. */
function signalParts(name: string): { type: string; code: string; value: string } {
  const slash = name.indexOf('/');
  const equals = name.lastIndexOf('=');
  return { type: name.slice(0, slash), code: name.slice(slash + 1, equals), value: name.slice(equals + 1) };
}

function rateRuns({ metric, name }: CompareRate): RunsSearch | undefined {
  if (metric === 'failure_rate') return { status: ['failure'] };
  if (metric === 'retry_rate') return { retries: 'true' };
  if (name === null) return undefined;
  if (metric === 'failure') {
    const slash = name.indexOf('/');
    return { failure: [name.slice(0, slash)] as RunsSearch['failure'], code: [name.slice(slash + 1)] };
  }
  const { type, code, value } = signalParts(name);
  return { signal_type: [type], signal: [code], signal_value: value === 'true' ? 'true' : 'false' };
}

function rateTitle({ metric, name }: CompareRate): string {
  if (metric !== 'signal' || name === null) return RATE_TITLES[metric] ?? name ?? metric;
  const { type, code, value } = signalParts(name);
  return `${type}/${code} = ${value}`;
}

function rateLine(rate: CompareRate): CompareLine {
  const points = rate.difference * 100;
  return {
    id: `${rate.metric} ${rate.name ?? ''}`,
    title: rateTitle(rate),
    isPart: false,
    base: shareText(rate.base),
    candidate: shareText(rate.candidate),
    difference: withEnds(signed(points), rate.confidence_interval, (end) => signed(end * 100)),
    interval: interval(rate.difference, rate.confidence_interval, 100),
    state: rate.state,
    pAdjusted: rate.p_adjusted,
    effect: effectOf('h', rate.effect_size),
    runs: rateRuns(rate),
  };
}

const QUANTITY_TITLES: Record<string, string> = {
  duration_ms: 'Duration of a run',
  step_latency_ms: 'Time in steps',
  retry_waste_ms: 'Time in attempts that were repeated',
  input_tokens: 'Tokens in',
  output_tokens: 'Tokens out',
  cost_usd: 'Cost',
};

/** How the numbers of a quantity are written that is no time. */
const QUANTITY_TEXTS: Record<string, (number: number | null) => string> = { input_tokens: count, output_tokens: count, cost_usd: dollars };

function quantityLines(quantity: CompareQuantity): CompareLine[] {
  const id = `${quantity.metric} ${quantity.name ?? ''}`;
  const title = `${QUANTITY_TITLES[quantity.metric] ?? quantity.metric}${quantity.name === null ? '' : `: ${quantity.name}`}`;
  const text = QUANTITY_TEXTS[quantity.metric] ?? duration;
  const runs: RunsSearch = {
    ...(quantity.metric === 'step_latency_ms' && quantity.name !== null ? { step_type: [quantity.name] as RunsSearch['step_type'] } : {}),
    ...(quantity.metric === 'retry_waste_ms' ? { retries: 'true' } : {}),
    // Runs can be put in order by their times only.
    ...(text === duration ? { sort: 'duration_ms', order: 'desc' } : {}),
  };
  const detail = (numbers: CompareQuantity['base']) => `of ${count(numbers.runs)}`;
  return (['p50', 'p95'] as const).map((percentile): CompareLine => {
    const { difference, confidence_interval } = quantity[percentile];
    const base = quantity.base[percentile];
    // Of nothing there are no percents; the difference is told all the same.
    const scale = base === null || base === 0 ? undefined : 100 / base;
    const first = percentile === 'p50';
    return {
      id: `${id} ${percentile}`,
      title: first ? `${title}, p50` : 'p95',
      isPart: !first,
      base: { text: text(base), detail: detail(quantity.base) },
      candidate: { text: text(quantity.candidate[percentile]), detail: detail(quantity.candidate) },
      difference: difference === null ? undefined : withEnds(withSign(difference, text), confidence_interval, (end) => withSign(end, text)),
      interval: difference === null || scale === undefined ? undefined : interval(difference, confidence_interval, scale),
      state: first ? quantity.state : undefined,
      pAdjusted: first ? quantity.p_adjusted : null,
      effect: first ? effectOf('δ', quantity.effect_size) : undefined,
      runs,
    };
  });
}

const DISTRIBUTION_TITLES: Record<string, string> = { selected: 'Selected', reason: 'Reason', model: 'Models' };
/** So many categories of a distribution have a line. */
export const MOST_CATEGORIES = 5;

function distributionLines(distribution: CompareDistribution): CompareLine[] {
  const { metric, name } = distribution;
  const id = `${metric} ${name ?? ''}`;
  const runs: RunsSearch | undefined = name === null ? undefined : { decision: [name] };
  const head: CompareLine = {
    id,
    title: `${DISTRIBUTION_TITLES[metric] ?? metric}${name === null ? '' : `: ${name}`}`,
    isPart: false,
    base: undefined,
    candidate: undefined,
    difference: undefined,
    interval: undefined,
    state: distribution.state,
    pAdjusted: distribution.p_adjusted,
    effect: effectOf('V', distribution.effect_size),
    runs: undefined,
  };
  const parts = distribution.categories
    .toSorted((a, b) => Math.abs(b.difference) - Math.abs(a.difference))
    .slice(0, MOST_CATEGORIES)
    .map((category): CompareLine => {
      const [only] = category.values;
      const isNone = category.values.length === 0 && !category.other;
      return {
        id: `${id} ${category.other ? 'other' : JSON.stringify(category.values)}`,
        title: category.other ? 'all others' : isNone ? 'none' : category.values.join(' + '),
        isPart: true,
        base: shareText(category.base),
        candidate: shareText(category.candidate),
        difference: withEnds(signed(category.difference * 100), category.confidence_interval, (end) => signed(end * 100)),
        interval: interval(category.difference, category.confidence_interval, 100),
        state: undefined,
        pAdjusted: null,
        effect: undefined,
        // Of none and of all others there is no filter.
        runs: only === undefined || runs === undefined ? undefined : metric === 'reason' ? { ...runs, reason: [only] } : runs,
      };
    });
  return [head, ...parts];
}

/** Lines of which the first tells whether it differs, with their parts. */
type Block = readonly CompareLine[];
const differs = ([head]: Block) => head?.state === 'significant';

function group(id: string, title: string, unit: Unit, blocks: readonly Block[], onlyDiffering: boolean, note?: string): CompareGroup {
  // What differs comes first; the sort is stable, so the server's order holds otherwise.
  const shown = (onlyDiffering ? blocks.filter(differs) : blocks).toSorted((a, b) => Number(differs(b)) - Number(differs(a)));
  const lines = shown.flat();
  const ends = lines.flatMap(({ interval }) => (interval === undefined ? [] : [interval.low, interval.high, interval.value]));
  return { id, title, unit, reach: reachOf(ends), lines, note };
}

/** A round number that nearly all ends are within: one wild interval would press all others to the middle. */
function reachOf(ends: readonly (number | null)[]): number {
  const sizes = ends.flatMap((end) => (end === null ? [] : [Math.abs(end)])).sort((a, b) => a - b);
  const wanted = sizes[Math.floor((sizes.length - 1) * 0.95)] ?? 1;
  return [1, 2, 5, 10, 20, 50, 100, 200, 500].find((one) => one >= wanted) ?? 1000;
}

/** The groups of a comparison, those with nothing in them left out. */
export function compareGroups(comparison: Comparison, onlyDiffering: boolean): CompareGroup[] {
  const { rates, quantities, distributions, failures_left_out: leftOut } = comparison;
  const of = (...metrics: string[]) => rates.filter(({ metric }) => metrics.includes(metric)).map((rate) => [rateLine(rate)]);
  const exact = quantities.every((quantity) => quantity.exact);
  return [
    group(
      'failures',
      'Failures and retries',
      'points',
      of('failure_rate', 'retry_rate', 'failure'),
      onlyDiffering,
      leftOut === 0 ? undefined : `${count(leftOut)} rarer failure codes are not compared.`,
    ),
    group('time', 'Time', 'percent', quantities.map(quantityLines), onlyDiffering, exact ? undefined : 'Of so many runs the times are off by up to 0.8 %.'),
    group('decisions', 'Decisions and models', 'points', distributions.map(distributionLines), onlyDiffering),
    group('signals', 'Signals', 'points', of('signal'), onlyDiffering),
  ].filter(({ lines }) => lines.length > 0);
}

/** What the whole comparison comes to, in a sentence or two. */
export function summary({ state, base, candidate, tested, significant, false_discovery_rate, min_runs }: Comparison): string {
  if (state === 'not_enough_data') {
    const few = [base, candidate].filter(({ runs }) => runs < min_runs).map(({ name, runs }) => `${name} has ${count(runs)}`);
    return `Not enough data: at least ${min_runs} runs are needed on a side, and ${few.join(', ')}. Counts are shown, and nothing is concluded.`;
  }
  const chance = `${Math.round(false_discovery_rate * 100)} %`;
  if (significant === 0) {
    return `No difference was shown in ${count(tested)} comparisons. That is no proof that there is none.`;
  }
  return `${count(significant)} of ${count(tested)} comparisons differ. Of what differs, at most ${chance} is expected to be chance.`;
}

/** Which other time a range is compared with: `START/END` of both, base first; nothing where they would overlap. */
export function twoTimes(range: { start?: Date; end?: Date }, backMs: number | undefined): { base: string; candidate: string } | undefined {
  const { start, end } = range;
  if (start === undefined || end === undefined) return undefined;
  const back = backMs ?? end.getTime() - start.getTime();
  if (back < end.getTime() - start.getTime()) return undefined;
  const text = (time: Date) => time.toISOString().replace('.000Z', 'Z');
  const shifted = (time: Date) => text(new Date(time.getTime() - back));
  return { base: `${shifted(start)}/${shifted(end)}`, candidate: `${text(start)}/${text(end)}` };
}
