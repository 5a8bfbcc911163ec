/** What opens over the page. Made of the browser's own popovers and dialogs: top layer, Esc and a click outside are theirs. */

import { useCallback, useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { X } from 'lucide-react';

import { IconButton } from './button.tsx';
import { cx } from './class.ts';

/** Puts `panel` under `anchor`, or above it where there is more room, and keeps it in the window. */
export function place(panel: HTMLElement, anchor: DOMRect, align: 'start' | 'end' = 'start', gap = 4): void {
  const { offsetWidth: width, offsetHeight: height } = panel;
  const left = align === 'start' ? anchor.left : anchor.right - width;
  const below = anchor.bottom + gap;
  const above = anchor.top - gap - height;
  const top = below + height > innerHeight - 8 && above >= 8 ? above : below;
  panel.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
  panel.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
}

interface PopoverProps {
  /** The name of what opens. */
  label: string;
  /** The look of the button. */
  buttonClassName: string;
  button: ReactNode;
  buttonLabel?: string;
  align?: 'start' | 'end';
  className?: string;
  /** What is in it; `close` closes it. */
  children: (close: () => void) => ReactNode;
}

/** A button and what it opens. */
export function Popover({ label, button, buttonLabel, buttonClassName, align = 'start', className, children }: PopoverProps) {
  const id = useId();
  const anchor = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  const close = useCallback(() => panel.current?.hidePopover(), []);
  useEffect(() => {
    if (!open || panel.current === null || anchor.current === null) return;
    place(panel.current, anchor.current.getBoundingClientRect(), align);
    panel.current.querySelector<HTMLElement>('[autofocus], input, button, a, select')?.focus();
  }, [open, align]);
  return (
    <>
      <button
        ref={anchor}
        type="button"
        popoverTarget={id}
        aria-expanded={open}
        aria-haspopup="dialog"
        aria-label={buttonLabel}
        title={buttonLabel}
        className={buttonClassName}
      >
        {button}
      </button>
      <div
        ref={panel}
        id={id}
        popover="auto"
        role="dialog"
        aria-label={label}
        onToggle={(event) => setOpen(event.newState === 'open')}
        className={cx('fixed m-0 rounded-lg bg-bg p-2 text-ink shadow-pop', className)}
      >
        {open && <Content close={close}>{children}</Content>}
      </div>
    </>
  );
}

function Content({ close, children }: { close: () => void; children: PopoverProps['children'] }) {
  return children(close);
}

/** Says more about what has the pointer or the focus. Never the only place of anything that has to be known. */
export function Tooltip({ text, children }: { text: ReactNode; children: ReactNode }) {
  const id = useId();
  const anchor = useRef<HTMLSpanElement>(null);
  const panel = useRef<HTMLDivElement>(null);
  const show = () => {
    if (panel.current === null || anchor.current === null) return;
    panel.current.showPopover();
    place(panel.current, anchor.current.getBoundingClientRect());
  };
  const hide = () => {
    if (panel.current?.matches(':popover-open') === true) panel.current.hidePopover();
  };
  return (
    <span ref={anchor} aria-describedby={id} onPointerEnter={show} onPointerLeave={hide} onFocus={show} onBlur={hide}>
      {children}
      <div
        ref={panel}
        id={id}
        role="tooltip"
        popover="manual"
        className="pointer-events-none fixed m-0 max-w-80 rounded-md bg-bg px-2 py-1 text-12 text-ink shadow-pop"
      >
        {text}
      </div>
    </span>
  );
}

/** A window over the page that has to be closed before it can be used again. */
export function Dialog({
  open,
  onClose,
  label,
  className,
  children,
  heading = true,
}: {
  open: boolean;
  onClose: () => void;
  label: string;
  className?: string;
  children: ReactNode;
  heading?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open && dialog.current?.open === false) {
      dialog.current.showModal();
      // Where there is something to type, that is what the dialog is for, and not what closes it.
      dialog.current.querySelector('input')?.focus();
    }
    if (!open && dialog.current?.open === true) dialog.current.close();
  }, [open]);
  return (
    <dialog
      ref={dialog}
      aria-label={label}
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
      className={cx('rounded-lg bg-bg p-0 text-ink shadow-pop backdrop:bg-[#00000066]', className)}
    >
      {open && (
        <div className="p-4">
          {heading && (
            <header className="mb-3 flex items-center">
              <h2 className="text-16 font-semibold">{label}</h2>
              <IconButton label="Close" icon={<X size={16} />} className="ml-auto" onClick={() => dialog.current?.close()} />
            </header>
          )}
          {children}
        </div>
      )}
    </dialog>
  );
}
