/**
 * The search line, as far as completing it needs it: which part the caret stands in, and what could stand there. What a line
 * means is for the server to say. Pure.
 */

/** The fields of a line, with what is said of each, and the facet that has its values. */
export const LINE_FIELDS = [
  { name: 'agent', facet: 'agent_id', says: 'the agent' },
  { name: 'version', facet: 'agent_version', says: 'its version; 1.4* for all that begin so' },
  { name: 'env', facet: 'environment', says: 'the environment' },
  { name: 'status', facet: 'status', says: 'success, failure, partial or running' },
  { name: 'code', facet: 'failure_code', says: 'the code of a failure' },
  { name: 'failure', facet: 'failure_type', says: 'the type of a failure' },
  { name: 'step', facet: 'step_name', says: 'the name of a step' },
  { name: 'type', facet: 'step_type', says: 'the type of a step' },
  { name: 'decision', facet: 'decision_type', says: 'the type of a decision' },
  { name: 'reason', facet: 'reason_code', says: 'the reason of a decision' },
  { name: 'signal', facet: 'signal_code', says: 'the code of a signal' },
  { name: 'duration', facet: undefined, says: '>2s, <500ms, 1s..5s' },
  { name: 'steps', facet: undefined, says: 'how many steps: >10' },
  { name: 'retries', facet: undefined, says: 'how many retries: >=1' },
  { name: 'started', facet: undefined, says: '>2026-11-22T09:00Z, or a day' },
  { name: 'session', facet: undefined, says: 'the conversation' },
  { name: 'parent', facet: undefined, says: 'the run that started it' },
  { name: 'cluster', facet: undefined, says: 'a cluster of failures' },
] as const;

/** A part of a line: a condition, or a value of one. */
export interface LinePart {
  /** Where what would be replaced begins and ends. */
  start: number;
  end: number;
  /** The field whose value it is; a field or a word stands here when there is none. */
  field: string | undefined;
  /** What is there, up to the caret. */
  prefix: string;
}

/** The part of `line` in which the caret stands. */
export function partAt(line: string, caret: number): LinePart {
  let start = 0;
  let quoted = false;
  for (let at = 0; at < caret; at++) {
    const letter = line[at];
    if (letter === '\\' && quoted) at++;
    else if (letter === '"') quoted = !quoted;
    else if (letter !== undefined && /\s/.test(letter) && !quoted) start = at + 1;
  }
  const rest = line.slice(caret);
  const more = quoted ? rest.search(/"|$/) + (rest.includes('"') ? 1 : 0) : rest.search(/\s|$/);
  const end = caret + more;
  const condition = line.slice(start, caret);
  const named = /^-?(meta\.[^:\s"]+|[a-z_]+):/i.exec(condition);
  if (named === null) {
    const skip = condition.startsWith('-') ? 1 : 0;
    return { start: start + skip, end, field: undefined, prefix: condition.slice(skip) };
  }
  const values = condition.slice(named[0].length);
  const comma = quoted ? values.lastIndexOf(',', values.lastIndexOf('"')) : values.lastIndexOf(',');
  const from = start + named[0].length + comma + 1;
  return { start: from, end, field: named[1]?.toLowerCase(), prefix: line.slice(from, caret).replace(/^"/, '') };
}

/** A value as it stands in a line. */
export function lineValue(value: string): string {
  const plain = value !== '' && !/[\s,"*]/.test(value) && !/^[<>-]/.test(value) && !value.includes('..');
  return plain ? value : `"${value.replace(/[\\"]/g, (letter) => `\\${letter}`)}"`;
}

/** The line with a part replaced, and where the caret goes. */
export function replacePart(line: string, part: LinePart, text: string): { line: string; caret: number } {
  return { line: line.slice(0, part.start) + text + line.slice(part.end), caret: part.start + text.length };
}
