/** The pages that the navigation names, one line each. */

import { Bot, CircleX, Gauge, GitCompare, House, ListTree, Split } from 'lucide-react';

export const PLACES = [
  { to: '/', label: 'Overview', icon: House, key: 'g o' },
  { to: '/runs', label: 'Runs', icon: ListTree, key: 'g r' },
  { to: '/failures', label: 'Failures', icon: CircleX, key: 'g f' },
  { to: '/decisions', label: 'Decisions', icon: Split, key: 'g d' },
  { to: '/signals', label: 'Signals', icon: Gauge, key: 'g s' },
  { to: '/agents', label: 'Agents', icon: Bot, key: 'g a' },
  { to: '/versions', label: 'Compare versions', icon: GitCompare, key: 'g v' },
] as const;
