import { count, shareText } from '../format/index.ts';
import { BOTTOM, HoverChart, Ticks, TOP } from './frame.tsx';
import { linear, niceMax } from './scale.ts';
import { HiddenTable } from './series.tsx';

const LEFT = 40;
const RIGHT = 8;

/** The tenth that holds a number of 0..1, by its edges. */
export const tenthName = (at: number): string => `${(at / 10).toFixed(1)} – ${((at + 1) / 10).toFixed(1)}`;

/** How often numbers of 0..1 occur, by tenths. */
export function Tenths({ label, counts, height, color = 'var(--accent)' }: { label: string; counts: readonly number[]; height: number; color?: string }) {
  const sum = counts.reduce((all, one) => all + one, 0);
  const { max, ticks } = niceMax(Math.max(0, ...counts), 2);
  const y = linear(0, max, height - BOTTOM, TOP);
  return (
    <>
      <HoverChart
        label={label}
        count={counts.length}
        height={height}
        left={LEFT}
        right={RIGHT}
        tip={(at) => (
          <>
            <span className="font-mono text-11 text-ink-3">{tenthName(at)}</span>{' '}
            <span className="font-mono">
              {count(counts[at])} ({shareText(counts[at] ?? 0, sum)})
            </span>
          </>
        )}
      >
        {({ width, step, hovered }) => (
          <>
            <Ticks ticks={ticks} y={y} left={LEFT} right={width - RIGHT} format={count} />
            {counts.map((value, at) => (
              <g key={at}>
                {value > 0 && (
                  <rect
                    x={LEFT + at * step + 1}
                    y={Math.min(y(value), height - BOTTOM - 1)}
                    width={Math.max(1, step - 2)}
                    height={Math.max(1, height - BOTTOM - y(value))}
                    fill={color}
                    opacity={hovered === undefined || hovered === at ? 1 : 0.55}
                  />
                )}
                {at % 2 === 0 && (
                  <text x={LEFT + at * step} y={height - 4} className="fill-ink-3 font-mono text-11">
                    {(at / 10).toFixed(1)}
                  </text>
                )}
              </g>
            ))}
          </>
        )}
      </HoverChart>
      <HiddenTable caption={label} head={['Confidence', 'Decisions']} rows={() => counts.map((value, at) => [tenthName(at), count(value)])} />
    </>
  );
}
