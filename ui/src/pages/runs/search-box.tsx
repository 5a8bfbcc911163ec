import { useQuery } from '@tanstack/react-query';
import { CircleHelp, Search } from 'lucide-react';
import { useState, type Ref } from 'react';

import { facetsQuery } from '../../api/queries.ts';
import type { PageRange } from '../../app/range.tsx';
import { count } from '../../format/index.ts';
import { LINE_FIELDS, lineValue, partAt, replacePart } from '../../url/search-line.ts';
import { apiFilter } from '../../url/filter.ts';
import { Combobox, type Option } from '../../ui/combobox.tsx';
import { Popover } from '../../ui/popover.tsx';
import { Key } from '../../ui/field.tsx';

interface Suggestion extends Option {
  text: string;
  /** Whether a value follows, so that the line is not asked yet. */
  goesOn: boolean;
}

const MOST = 12;

/** The search line, with what could stand where the caret is. */
export function SearchBox({
  line,
  error,
  range,
  onLine,
  inputRef,
}: {
  line: string;
  error: string | undefined;
  range: PageRange;
  onLine: (line: string) => void;
  inputRef: Ref<HTMLInputElement>;
}) {
  // What is typed belongs to the line that it began with; when that changes, by a link or the back button, it is gone.
  const [draft, setDraft] = useState({ of: [line], text: line, caret: line.length });
  const { text, caret } = draft.of.includes(line) ? draft : { text: line, caret: line.length };
  const [typing, setTyping] = useState(false);
  const part = partAt(text, caret);
  const metaKey = part.field?.startsWith('meta.') === true ? part.field : undefined;
  const known = LINE_FIELDS.find(({ name, facet }) => name === part.field || (facet !== undefined && facet === part.field));
  const facet = metaKey ?? known?.facet;
  const values = useQuery({
    ...facetsQuery(apiFilter({}, range), [facet ?? 'agent_id'], 200),
    enabled: typing && facet !== undefined,
    staleTime: 60_000,
  });
  const keys = useQuery({
    ...facetsQuery(apiFilter({}, range), ['meta'], 50),
    enabled: typing && part.field === undefined && part.prefix.startsWith('m'),
    staleTime: 60_000,
  });

  const wanted = part.prefix.toLowerCase();
  const suggestions: Suggestion[] =
    part.field === undefined
      ? [
          ...LINE_FIELDS.map(({ name, says }) => ({ name: name, says: says })),
          ...(keys.data?.facets[0]?.values ?? []).map(({ value }) => ({ name: `meta.${value}`, says: 'a fact of the run' })),
        ]
          .filter(({ name }) => name.startsWith(wanted))
          .slice(0, MOST + 6)
          .map(({ name, says }) => ({
            id: name,
            text: `${name}:`,
            goesOn: true,
            content: (
              <>
                <span className="font-mono text-12">{name}:</span>
                <span className="truncate text-12 text-ink-3">{says}</span>
              </>
            ),
          }))
      : (values.data?.facets[0]?.field === facet ? (values.data?.facets[0]?.values ?? []) : [])
          .filter(({ value }) => value.toLowerCase().includes(wanted))
          .slice(0, MOST)
          .map(({ value, runs }) => ({
            id: value,
            text: lineValue(value),
            goesOn: false,
            content: (
              <>
                <span className="truncate font-mono text-12">{value}</span>
                <span className="ml-auto font-mono text-11 text-ink-3">{count(runs)}</span>
              </>
            ),
          }));

  const submit = (text: string) => onLine(text.trim());
  return (
    <Combobox
      inputRef={inputRef}
      label="Search runs"
      placeholder="Search: agent:support-triage code:timeout duration:>2s -env:dev"
      icon={<Search size={14} aria-hidden="true" />}
      className="min-w-60 grow"
      value={text}
      error={error}
      options={suggestions}
      onChange={(text, caret) => {
        setTyping(true);
        setDraft({ of: [line], text, caret });
      }}
      onPick={(option) => {
        const next = replacePart(text, part, option.goesOn ? option.text : `${option.text} `);
        setDraft({ of: [line, next.line.trim()], text: next.line, caret: next.caret });
        if (!option.goesOn) submit(next.line);
      }}
      onSubmit={() => submit(text)}
      trailing={
        <span className="flex items-center gap-1">
          <Key>/</Key>
          <SearchHelp />
        </span>
      }
    />
  );
}

function SearchHelp() {
  const examples = [
    ['agent:support-triage', 'runs of an agent'],
    ['status:failure code:timeout', 'both have to hold'],
    ['env:staging,dev', 'one of them'],
    ['-env:dev', 'not this one'],
    ['version:1.4*', 'what begins so'],
    ['duration:>2s', 'also 1s..5s, <500ms'],
    ['meta.region:eu-central-1', 'a fact of the run'],
    ['billing', 'a word in any name'],
  ] as const;
  return (
    <Popover
      label="The search line"
      buttonLabel="How to search"
      buttonClassName="inline-flex size-6 items-center justify-center rounded-md hover:text-ink"
      button={<CircleHelp size={14} aria-hidden="true" />}
      align="end"
      className="w-96 max-w-[92vw] p-3"
    >
      {() => (
        <dl>
          {examples.map(([line, says]) => (
            <div key={line} className="flex h-6 items-center justify-between gap-3">
              <dt className="font-mono text-12">{line}</dt>
              <dd className="text-12 text-ink-2">{says}</dd>
            </div>
          ))}
        </dl>
      )}
    </Popover>
  );
}
