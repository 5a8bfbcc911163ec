/** Differences with their intervals, on an axis about zero that all of a table share. */

/** Where a value stands, in percent of the width. What is beyond the axis stands at its end. */
const at = (value: number, reach: number) => 50 + Math.max(-1, Math.min(1, value / reach)) * 48;

/**
 * One difference. `sure`: it was shown, and is filled; else hollow, for it may be nothing. An end that is open or beyond the
 * axis is an arrow. Without an interval nothing is drawn, which is not zero: the table says why.
 */
export function IntervalBar({
  interval,
  reach,
  sure,
}: {
  interval: { value: number; low: number | null; high: number | null } | undefined;
  reach: number;
  sure: boolean;
}) {
  const color = sure ? 'var(--accent)' : 'var(--line-strong)';
  const end = (value: number | null, side: -1 | 1) => {
    const open = value === null || Math.abs(value) > reach;
    const x = open ? 50 + side * 48 : at(value, reach);
    return { open, x };
  };
  const [low, high] = interval === undefined ? [] : [end(interval.low, -1), end(interval.high, 1)];
  return (
    <svg width="100%" height="16" aria-hidden="true" className="block min-w-24 overflow-visible">
      <line x1="50%" x2="50%" y1="-5" y2="21" stroke="var(--line)" />
      {interval !== undefined && low !== undefined && high !== undefined && (
        <g stroke={color} strokeWidth="2" fill="none">
          <line x1={`${low.x}%`} x2={`${high.x}%`} y1="8" y2="8" />
          {[low, high].map(({ open, x }, index) => (
            <svg key={index} x={`${x}%`} overflow="visible">
              <path d={open ? (index === 0 ? 'M5 4L0 8L5 12' : 'M-5 4L0 8L-5 12') : 'M0 4V12'} />
            </svg>
          ))}
          <circle cx={`${at(interval.value, reach)}%`} cy="8" r="3.5" fill={sure ? color : 'var(--bg)'} />
        </g>
      )}
    </svg>
  );
}

/** The ends and the middle of the axis. */
export function IntervalAxis({ reach, unit }: { reach: number; unit: string }) {
  return (
    <span className="relative block h-4 font-mono text-11 font-normal text-ink-3" aria-hidden="true">
      <span className="absolute left-0">−{reach}</span>
      <span className="absolute inset-x-0 text-center">0</span>
      <span className="absolute right-0">
        +{reach} {unit}
      </span>
    </span>
  );
}
