import { PageHeader } from '../app/shell.tsx';

export default function CompareRuns() {
  return <PageHeader title="Compare runs" />;
}
