import { PageHeader } from '../app/shell.tsx';

export default function Agents() {
  return <PageHeader title="Agents" />;
}
