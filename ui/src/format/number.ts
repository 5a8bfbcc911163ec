/** Counts, shares and sizes as people read them. The one formatter of each. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `12,345` */
export function count(number: number | null | undefined): string {
  return number === null || number === undefined || !Number.isFinite(number) ? '—' : whole.format(number);
}

/** `12.3k`, `4.56M`: where the order of size matters and not the last digit. */
export function shortCount(number: number): string {
  if (!Number.isFinite(number)) return '—';
  if (Math.abs(number) < 1000) return whole.format(number);
  for (const [size, unit] of SIZES) {
    // 999,960 is a million at three digits, and not 1000.0k.
    if (Math.abs(number) >= size * 0.9995) {
      const scaled = number / size;
      return `${scaled.toFixed(Math.abs(scaled) >= 99.95 ? 0 : Math.abs(scaled) >= 9.995 ? 1 : 2)}${unit}`;
    }
  }
  return whole.format(number);
}

const SIZES: readonly [number, string][] = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** A count that is exact, or known to be at least so much. */
export interface Total {
  count: number;
  exact: boolean;
}

/** `1,204` or `at least 100,000` */
export function total({ count: number, exact }: Total): string {
  return exact ? count(number) : `at least ${count(number)}`;
}

/** A share that the server gives in percent: `12.3 %`. `—` of nothing. */
export function percent(number: number | null | undefined): string {
  if (number === null || number === undefined || !Number.isFinite(number)) return '—';
  if (number !== 0 && Math.abs(number) < 0.1) return `${number < 0 ? '−' : ''}< 0.1 %`;
  return `${signed(number, Math.abs(number) >= 99.95 || Number.isInteger(number) ? 0 : 1)} %`;
}

function signed(number: number, digits: number): string {
  const text = Math.abs(number).toFixed(digits);
  return number < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** `$1,204.50`, `$0.0123`: below a dollar as many digits as tell something. */
export function dollars(number: number | null | undefined): string {
  if (number === null || number === undefined || !Number.isFinite(number)) return '—';
  const size = Math.abs(number);
  const digits = size === 0 || size >= 0.995 ? 2 : Math.min(9, 2 - Math.floor(Math.log10(size)));
  const text = size.toLocaleString('en-US', { minimumFractionDigits: Math.min(2, digits), maximumFractionDigits: digits });
  return `${number < 0 ? '−' : ''}$${text}`;
}

/** `1.4 KiB` */
export function bytes(number: number | null | undefined): string {
  if (number === null || number === undefined || !Number.isFinite(number)) return '—';
  let scaled = number;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB', 'TiB']) {
    if (scaled < 1023.95 || unit === 'TiB') return `${unit === 'B' ? whole.format(scaled) : scaled.toFixed(1)} ${unit}`;
    scaled /= 1024;
  }
  return `${whole.format(number)} B`;
}

/** `1 step`, `2 steps` */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}
