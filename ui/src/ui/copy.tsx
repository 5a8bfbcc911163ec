import { useEffect, useState } from 'react';
import { Check, Copy } from 'lucide-react';

import { Button, IconButton } from './button.tsx';

/** Puts a text on the clipboard. Where the page may not, it says so. */
export function useCopy(): { state: 'idle' | 'copied' | 'failed'; copy: (text: string) => void } {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle');
  useEffect(() => {
    if (state === 'idle') return undefined;
    const timer = setTimeout(() => setState('idle'), 1500);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = (text: string) => {
    // Pages that did not come safely have no clipboard.
    const clipboard = (navigator as { clipboard?: Clipboard }).clipboard;
    if (clipboard === undefined) setState('failed');
    else clipboard.writeText(text).then(
      () => setState('copied'),
      () => setState('failed'),
    );
  };
  return { state, copy };
}

const SAYS = { idle: undefined, copied: 'Copied', failed: 'The browser does not allow it' } as const;

export function CopyButton({ text, label, icon }: { text: () => string; label: string; icon?: React.ReactNode }) {
  const { state, copy } = useCopy();
  return (
    <Button icon={state === 'copied' ? <Check size={14} /> : (icon ?? <Copy size={14} />)} onClick={() => copy(text())}>
      <span aria-live="polite">{SAYS[state] ?? label}</span>
    </Button>
  );
}

export function CopyIcon({ text, label }: { text: string; label: string }) {
  const { state, copy } = useCopy();
  return (
    <IconButton
      label={SAYS[state] ?? label}
      icon={state === 'copied' ? <Check size={14} /> : <Copy size={14} />}
      onClick={() => copy(text)}
    />
  );
}
