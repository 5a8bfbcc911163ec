/** Class names, without those that do not hold. */
export function cx(...names: (string | false | null | undefined)[]): string {
  return names.filter((name): name is string => typeof name === 'string' && name !== '').join(' ');
}

/** The look of a link in the text of a page: found without its colour, since it is underlined when it is pointed at and stands with an arrow;
 * as high as a finger needs. */
export const LINK = 'inline-block py-1 text-accent hover:underline focus-visible:underline';
