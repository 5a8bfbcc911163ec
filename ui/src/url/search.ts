/**
 * The query string and what it means: pure, both ways. A parameter that cannot be read is as if it were not there, so
 * that an old or mistyped link still opens its page.
 */

/** What a query string says before anybody knows what it means. */
export type Raw = Record<string, string | string[]>;

/** Reads `?a=1&b=x&b=y`. Of names alone, without a value, nothing is kept. */
export function parseSearch(text: string): Raw {
  const raw: Raw = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if (value === '') continue;
    const before = Object.hasOwn(raw, name) ? raw[name] : undefined;
    raw[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return raw;
}

/** The opposite of {@link parseSearch}: `''`, or a query string with its question mark. */
export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (one === true) params.append(name, '1');
      else if ((typeof one === 'string' && one !== '') || (typeof one === 'number' && Number.isFinite(one))) {
        params.append(name, String(one));
      }
    }
  }
  // These stand for themselves in a query, and links with them can be read.
  const text = params.toString().replace(/%(3A|2C|2F|40)/g, (code) => decodeURIComponent(code));
  return text === '' ? '' : `?${text}`;
}

/** How one parameter is read; `undefined` where it says nothing that is understood. */
export type Param<T> = (raw: unknown) => T | undefined;

const last = (raw: unknown): unknown => (Array.isArray(raw) ? (raw as unknown[]).at(-1) : raw);

const asText = (raw: unknown): string | undefined => {
  if (typeof raw === 'string' && raw !== '') return raw;
  return typeof raw === 'number' && Number.isFinite(raw) ? String(raw) : undefined;
};

/** Any text. */
export const text: Param<string> = (raw) => asText(last(raw));

/** Texts, each once, in the order in which they stand. */
export const texts: Param<string[]> = (raw) => {
  const found = (Array.isArray(raw) ? (raw as unknown[]) : [raw]).map(asText).filter((one) => one !== undefined);
  return found.length === 0 ? undefined : [...new Set(found)];
};

/** `1`, or nothing. */
export const flag: Param<true> = (raw) => {
  const value = last(raw);
  return value === true || value === '1' || value === 'true' ? true : undefined;
};

/** A whole number from `min` on. */
export const whole =
  (min = 0): Param<number> =>
  (raw) => {
    const value = asText(last(raw));
    if (value === undefined || !/^-?\d{1,15}$/.test(value)) return undefined;
    const number = Number(value);
    return number >= min ? number : undefined;
  };

/** A number with its fraction, from `min` on. */
export const real =
  (min: number): Param<number> =>
  (raw) => {
    const value = asText(last(raw));
    if (value === undefined || !/^-?\d+(\.\d+)?$/.test(value)) return undefined;
    const number = Number(value);
    return Number.isFinite(number) && number >= min ? number : undefined;
  };

/** One of a closed list. */
export const oneOf =
  <const T extends string>(values: readonly T[]): Param<T> =>
  (raw) => {
    const value = last(raw);
    return values.find((known) => known === value);
  };

/** Some of a closed list. */
export const someOf =
  <const T extends string>(values: readonly T[]): Param<T[]> =>
  (raw) => {
    const found = (texts(raw) ?? []).flatMap((one) => values.find((known) => known === one) ?? []);
    return found.length === 0 ? undefined : found;
  };

/** The parameters of a page. */
export type Params = Record<string, Param<unknown>>;
/** What they say; what is not there is the default. */
export type SearchOf<P extends Params> = { [K in keyof P]?: NonNullable<ReturnType<P[K]>> };

/** The reader of a page's parameters. Reading what it gave gives the same again. */
export function reader<P extends Params>(params: P): (raw: Record<string, unknown>) => SearchOf<P> {
  return (raw) => {
    const found: Record<string, unknown> = {};
    for (const [name, read] of Object.entries(params)) {
      const value = Object.hasOwn(raw, name) ? read(raw[name]) : undefined;
      if (value !== undefined) found[name] = value;
    }
    return found as SearchOf<P>;
  };
}
