import { PageHeader } from '../app/shell.tsx';

export default function Runs() {
  return <PageHeader title="Runs" />;
}
