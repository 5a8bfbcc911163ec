import { PageHeader } from '../app/shell.tsx';

export default function Run() {
  return <PageHeader title="Run" />;
}
