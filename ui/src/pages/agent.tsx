import { PageHeader } from '../app/shell.tsx';

export default function Agent() {
  return <PageHeader title="Agent" />;
}
