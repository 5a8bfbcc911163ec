/**
 * Which elements of two sequences belong together: a longest common subsequence, so that as many as possible do.
 *
 * Rows of the table of lengths differ by at most one from column to column, so a row is a string of bits and is computed 32
 * columns at a time. M. Crochemore, C. Iliopoulos, Y. Pinzon, J. Reid, "A fast and practical bit-vector algorithm for the
 * longest common subsequence problem", 2001; H. Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.
 *
 * All rows are kept, to walk back: two sequences of 10,000, the most steps that a run can have, take 12.5 MB and
 * 3 million steps of the inner loop. Where they begin and end alike nothing is computed.
 */

/** An index of the first sequence and one of the second, one of them missing where nothing belongs to the other. */
export interface Pair {
  a: number | undefined;
  b: number | undefined;
}

/**
 * Aligns two sequences of keys. Each index of either side is in exactly one pair, in order; both sides of a pair have the
 * same key; where the sequences part, what is only in the first comes before what is only in the second.
 */
export function align(a: readonly string[], b: readonly string[]): Pair[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let same = 0;
  while (same < a.length - start && same < b.length - start && a[a.length - 1 - same] === b[b.length - 1 - same]) same++;
  const matches = common(a.slice(start, a.length - same), b.slice(start, b.length - same));

  const pairs: Pair[] = [];
  let [atA, atB] = [0, 0];
  const match = (toA: number, toB: number) => {
    while (atA < toA) pairs.push({ a: atA++, b: undefined });
    while (atB < toB) pairs.push({ a: undefined, b: atB++ });
  };
  const both = (toA: number, toB: number) => {
    match(toA, toB);
    pairs.push({ a: atA++, b: atB++ });
  };
  for (let at = 0; at < start; at++) both(at, at);
  for (const [inA, inB] of matches) both(start + inA, start + inB);
  for (let at = same; at > 0; at--) both(a.length - at, b.length - at);
  match(a.length, b.length);
  return pairs;
}

/** The pairs of a longest common subsequence, in order. */
function common(a: readonly string[], b: readonly string[]): [number, number][] {
  if (a.length === 0 || b.length === 0) return [];
  const words = (b.length + 31) >>> 5;

  // For each key, in which columns of `b` it stands.
  const columns = new Map<string, Uint32Array>();
  b.forEach((key, at) => {
    let bits = columns.get(key);
    if (bits === undefined) columns.set(key, (bits = new Uint32Array(words)));
    bits[at >>> 5] = (bits[at >>> 5] ?? 0) | (1 << (at & 31));
  });

  // A bit that is not set: here the common subsequence gets longer by one. Nothing is common before the first row.
  const rows = new Uint32Array((a.length + 1) * words).fill(0xffffffff, 0, words);
  a.forEach((key, at) => {
    const before = at * words;
    const row = before + words;
    const bits = columns.get(key);
    if (bits === undefined) {
      rows.copyWithin(row, before, row);
      return;
    }
    let carry = 0;
    for (let word = 0; word < words; word++) {
      const v = rows[before + word] ?? 0;
      const u = (v & (bits[word] ?? 0)) >>> 0;
      const sum = v + u + carry;
      carry = sum > 0xffffffff ? 1 : 0;
      rows[row + word] = (sum >>> 0) | (v & ~u);
    }
  });

  const grows = (row: number, column: number) => (((rows[row * words + (column >>> 5)] ?? 0) >>> (column & 31)) & 1) === 0;
  const matches: [number, number][] = [];
  let [row, column] = [a.length, b.length - 1];
  while (row > 0 && column >= 0) {
    if (!grows(row, column)) column--;
    else if (grows(row - 1, column)) row--;
    else matches.push([--row, column--]);
  }
  return matches.reverse();
}
