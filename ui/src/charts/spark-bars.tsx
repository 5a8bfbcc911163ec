/** Counts over time as small bars without axes, beside the number that they add up to. */
export function SparkBars({
  label,
  values,
  color = 'var(--failed-bar)',
  width = 120,
  height = 18,
}: {
  label: string;
  values: readonly number[];
  color?: string;
  width?: number;
  height?: number;
}) {
  const max = Math.max(1, ...values);
  const step = values.length === 0 ? 0 : width / values.length;
  return (
    <svg width={width} height={height} role="img" aria-label={label} className="inline-block align-middle">
      <path d={`M0 ${height - 0.5}H${width}`} stroke="var(--line)" />
      {values.map((value, at) => {
        if (value === 0) return null;
        // However few, they are seen.
        const size = Math.max(1.5, (value / max) * (height - 1));
        return <rect key={at} x={at * step + 0.25} y={height - size} width={Math.max(0.75, step - 0.75)} height={size} fill={color} />;
      })}
    </svg>
  );
}
