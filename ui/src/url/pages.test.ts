import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readAgent, readAgents, readDecisions, readFailures, readSignals } from './pages.ts';
import { parseSearch, stringifySearch } from './search.ts';

const READERS = { readAgent, readAgents, readDecisions, readFailures, readSignals };

describe.each(Object.entries(READERS))('%s', (_, read) => {
  it('reads again what it wrote', () => {
    const value = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('tool_selection', 'attention', 'runs', 'asc', 'true', 'failure'));
    const names = fc.constantFrom('agent', 'version', 'status', 'code', 'show', 'type', 'tone', 'sort', 'order', 'find', 'versions', 'nothing');
    fc.assert(
      fc.property(fc.dictionary(names, fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 3 }))), (raw) => {
        const once = read(raw);
        expect(read(parseSearch(stringifySearch(once)))).toEqual(once);
      }),
    );
  });
});

describe('what a page does not know', () => {
  it('is as if it were not there', () => {
    expect(readDecisions({ type: 'no_such_type', agent: 'a' })).toEqual({ agent: ['a'] });
    expect(readSignals({ tone: 'loud', show: 'tool_failure/timeout/true' })).toEqual({ show: 'tool_failure/timeout/true' });
    expect(readAgents({ sort: 'cost', order: 'asc' })).toEqual({ order: 'asc' });
  });
});
