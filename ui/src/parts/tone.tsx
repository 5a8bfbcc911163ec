/** The tone of a signal: a symbol and a word; the colour only agrees with them. */
export function ToneWord({ attention }: { attention: boolean }) {
  return attention ? (
    <span className="inline-flex items-center gap-1 text-12 text-failure">
      <span aria-hidden="true">▼</span>attention
    </span>
  ) : (
    <span className="inline-flex items-center gap-1 text-12 text-ink-3">
      <span aria-hidden="true">▲</span>plain
    </span>
  );
}
