/** A bar as long as its share, with its numbers beside it: the bars of a distribution. */
export function ShareBar({ share, color = 'var(--accent)', label }: { share: number; color?: string; label: string }) {
  return (
    <svg width="100%" height="6" role="img" aria-label={label} className="block min-w-8" preserveAspectRatio="none" viewBox="0 0 100 6">
      <rect width="100" height="6" fill="var(--line)" />
      <rect width={Math.max(0, Math.min(100, share * 100))} height="6" fill={color} />
    </svg>
  );
}
