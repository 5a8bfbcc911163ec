import { PageHeader } from '../app/shell.tsx';

export default function Failures() {
  return <PageHeader title="Failures" />;
}
