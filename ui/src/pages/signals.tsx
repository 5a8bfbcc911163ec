import { PageHeader } from '../app/shell.tsx';

export default function Signals() {
  return <PageHeader title="Signals" />;
}
