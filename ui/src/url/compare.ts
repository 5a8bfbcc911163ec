/** The query strings of the pages that compare. */

import { CHANGES } from '../compare/runs.ts';
import { flag, oneOf, reader, someOf, text, texts, whole, type SearchOf } from './search.ts';

export const RUN_PARTS = ['totals', 'decisions', 'signals'] as const;

/** Two runs. */
export const compareRunsParams = {
  a: text,
  b: text,
  /** Which changes are asked for; without, all of them. */
  change: someOf(CHANGES),
  /** Also the steps that are alike. */
  all: flag,
  /** The row that keys are about. */
  row: whole(),
  part: oneOf(RUN_PARTS),
};
export const readCompareRuns = reader(compareRunsParams);
export type CompareRunsSearch = SearchOf<typeof compareRunsParams>;

/** In what two sides differ. */
export const COMPARE_BY = ['agent_version', 'environment', 'time'] as const;
export type CompareBy = (typeof COMPARE_BY)[number];
/** Which time the range is compared with. */
export const AGAINST = ['previous', 'day', 'week'] as const;
export type Against = (typeof AGAINST)[number];

/** Two versions, environments or times. */
export const compareVersionsParams = {
  by: oneOf(COMPARE_BY),
  agent: text,
  env: texts,
  base: text,
  candidate: text,
  against: oneOf(AGAINST),
  /** Only what differs. */
  differs: flag,
};
export const readCompareVersions = reader(compareVersionsParams);
export type CompareVersionsSearch = SearchOf<typeof compareVersionsParams>;
