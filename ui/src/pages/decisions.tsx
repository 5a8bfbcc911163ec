import { PageHeader } from '../app/shell.tsx';

export default function Decisions() {
  return <PageHeader title="Decisions" />;
}
