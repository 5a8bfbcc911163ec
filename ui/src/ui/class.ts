/** Class names, without those that do not hold. */
export function cx(...names: (string | false | null | undefined)[]): string {
  return names.filter((name): name is string => typeof name === 'string' && name !== '').join(' ');
}

/** The look of a link in the text of a page: found without its colour, since it is underlined when it is pointed at and stands with an arrow. */
export const LINK = 'text-accent hover:underline focus-visible:underline';
