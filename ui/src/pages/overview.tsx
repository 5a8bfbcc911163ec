import { PageHeader } from '../app/shell.tsx';

export default function Overview() {
  return <PageHeader title="Overview" />;
}
