import { dateTime, type Zone } from '../format/index.ts';
import { BOTTOM, HoverChart, Ticks, TimeLabels, TOP } from './frame.tsx';
import { linear, linePath, niceMax } from './scale.ts';
import { HiddenTable, type Series } from './series.tsx';

interface LinesProps {
  label: string;
  series: readonly Series[];
  points: readonly { start: Date; end: Date; values: readonly (number | null)[] }[];
  zone: Zone;
  height: number;
  format: (value: number | null) => string;
  /** The top of the axis, where it is known: 100 of a percentage. */
  max?: number;
}

const RIGHT = 12;
/** How wide a letter of a tick is, in px. */
const LETTER = 6.7;

/** Numbers over time. A missing one is a gap, never a zero. */
export function Lines({ label, series, points, zone, height, format, max: fixedMax }: LinesProps) {
  const all = points.flatMap(({ values }) => values.filter((value) => value !== null));
  const { max, ticks } = fixedMax === undefined ? niceMax(Math.max(0, ...all), 2) : { max: fixedMax, ticks: [0, fixedMax / 2, fixedMax] };
  const y = linear(0, max, height - BOTTOM, TOP);
  // A percentage needs less room than hours and minutes.
  const left = Math.ceil(14 + LETTER * Math.max(3, ...ticks.map((tick) => format(tick).length)));
  return (
    <>
      <HoverChart
        label={label}
        count={points.length}
        height={height}
        left={left}
        right={RIGHT}
        tip={(at) => (
          <>
            <div className="font-mono text-11 text-ink-3">{points[at] !== undefined && dateTime(points[at].start, zone)}</div>
            {series.map((one, index) => (
              <div key={one.name} className="flex justify-between gap-4">
                <span>{one.name}</span>
                <span className="font-mono">{format(points[at]?.values[index] ?? null)}</span>
              </div>
            ))}
          </>
        )}
      >
        {({ width, step, hovered }) => {
          const x = (at: number) => left + (at + 0.5) * step;
          return (
            <>
              <Ticks ticks={ticks} y={y} left={left} right={width - RIGHT} format={format} />
              {hovered !== undefined && <line x1={x(hovered)} x2={x(hovered)} y1={TOP} y2={height - BOTTOM} stroke="var(--line-strong)" />}
              {series.map((one, index) => (
                <path
                  key={one.name}
                  d={linePath(points.map(({ values }) => values[index] ?? null), x, y)}
                  fill="none"
                  stroke={one.color}
                  strokeWidth="1.5"
                  strokeLinejoin="round"
                  strokeLinecap="round"
                  strokeDasharray={one.dashed === true ? '4 3' : undefined}
                />
              ))}
              <TimeLabels buckets={points} left={left} right={RIGHT} width={width} height={height} zone={zone} />
            </>
          );
        }}
      </HoverChart>
      <HiddenTable
        caption={label}
        head={['From', ...series.map((one) => one.name)]}
        rows={() =>
          points
            .filter(({ values }) => values.some((value) => value !== null))
            .map(({ start, values }) => [dateTime(start, zone), ...values.map(format)])
        }
      />
    </>
  );
}

/** A line without axes beside a number that it belongs to. */
export function Sparkline({ label, values, width = 96, height = 20 }: { label: string; values: readonly (number | null)[]; width?: number; height?: number }) {
  const max = Math.max(0, ...values.filter((value) => value !== null));
  const x = (at: number) => (values.length < 2 ? width / 2 : 1 + (at / (values.length - 1)) * (width - 2));
  return (
    <svg width={width} height={height} role="img" aria-label={label} className="inline-block align-middle">
      <path d={`M0 ${height - 1}H${width}`} stroke="var(--line)" />
      <path
        d={linePath(values, x, linear(0, max === 0 ? 1 : max, height - 2, 2))}
        fill="none"
        stroke="var(--accent)"
        strokeWidth="1.5"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}
