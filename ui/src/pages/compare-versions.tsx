import { PageHeader } from '../app/shell.tsx';

export default function CompareVersions() {
  return <PageHeader title="Compare versions" />;
}
