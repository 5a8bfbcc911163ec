import { useDeferredValue, type ReactNode } from 'react';

/**
 * What is not read first: it is rendered when what stands before it is seen, in pieces between which the page answers. The
 * place that it will take, where something stands below it, is `instead`.
 */
export function Later({ children, instead = null }: { children: ReactNode; instead?: ReactNode }) {
  const isTime = useDeferredValue(true, false);
  return isTime ? children : instead;
}
