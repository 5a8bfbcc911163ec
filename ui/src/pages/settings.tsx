import { PageHeader } from '../app/shell.tsx';

export default function Settings() {
  return <PageHeader title="Settings" />;
}
