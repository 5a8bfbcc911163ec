/** The signals of an answer as rows, a code and a value each, and their rates over time: pure. */

import type { Signals, SignalsBucket } from '../../api/types.ts';

export interface SignalRow {
  /** `type/code/value`, as the URL names it. */
  id: string;
  type: string;
  code: string;
  value: boolean;
  /** Whether it asks for attention. */
  attention: boolean;
  count: number;
  runs: number;
}

export const signalId = (type: string, code: string, value: boolean): string => `${type}/${code}/${value ? 'true' : 'false'}`;

/** Those that occur, in the order of the taxonomy; of a code, the value that asks for attention first. */
export function signalRows(signals: Signals): SignalRow[] {
  return signals.types.flatMap(({ signal_type, codes }) =>
    codes.flatMap((code) =>
      [code.attention_value, !code.attention_value].flatMap((value) => {
        const [count, runs] = value ? [code.count_true, code.runs_true] : [code.count_false, code.runs_false];
        if (count === 0) return [];
        const attention = value === code.attention_value;
        return [{ id: signalId(signal_type, code.signal_code, value), type: signal_type, code: code.signal_code, value, attention, count, runs }];
      }),
    ),
  );
}

export interface RatePoint {
  start: Date;
  end: Date;
  values: (number | null)[];
}

/** In how many percent of the runs of each bucket a signal occurs; `null` without a run. */
export function rateOverTime(buckets: readonly SignalsBucket[], row: Pick<SignalRow, 'type' | 'code' | 'value'>): RatePoint[] {
  return buckets.map(({ start, end, runs, codes }) => {
    const found = codes.find((code) => code.signal_type === row.type && code.signal_code === row.code);
    const having = found === undefined ? 0 : row.value ? found.runs_true : found.runs_false;
    return { start: new Date(start), end: new Date(end), values: [runs === 0 ? null : (100 * having) / runs] };
  });
}

/** How many signals of a type asked for attention, for each hundred runs. */
export function attentionRate(signals: Signals, type: string): number | undefined {
  const found = signals.types.find(({ signal_type }) => signal_type === type);
  if (signals.total_runs === 0) return undefined;
  return (100 * (found?.codes.reduce((sum, { attention }) => sum + attention, 0) ?? 0)) / signals.total_runs;
}

/** The same over time; `null` without a run. */
export function attentionOverTime(signals: Signals, type: string): RatePoint[] {
  const values = new Map(
    signals.types.find(({ signal_type }) => signal_type === type)?.codes.map(({ signal_code, attention_value }) => [signal_code, attention_value]) ?? [],
  );
  return (signals.timeline?.buckets ?? []).map(({ start, end, runs, codes }) => {
    const count = codes
      .filter(({ signal_type }) => signal_type === type)
      .reduce((sum, code) => sum + (values.get(code.signal_code) === true ? code.count_true : code.count_false), 0);
    return { start: new Date(start), end: new Date(end), values: [runs === 0 ? null : (100 * count) / runs] };
  });
}
