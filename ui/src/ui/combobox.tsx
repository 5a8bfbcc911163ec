import { useEffect, useId, useRef, useState, type ReactNode, type Ref } from 'react';

import { cx } from './class.ts';

export interface Option {
  id: string;
  /** What is written in the list. */
  content: ReactNode;
  /** Under what it stands; options of one group stand together. */
  group?: string;
}

interface ComboboxProps<O extends Option> {
  label: string;
  placeholder?: string;
  value: string;
  onChange: (value: string, caret: number) => void;
  options: readonly O[];
  onPick: (option: O) => void;
  /** Enter, while no option is chosen. */
  onSubmit?: () => void;
  icon?: ReactNode;
  trailing?: ReactNode;
  /** The list is always there, and its first option chosen, as in a palette; else it opens under the line. */
  open?: boolean;
  /** What is wrong with the line. */
  error?: string;
  inputRef?: Ref<HTMLInputElement>;
  className?: string;
}

/** A line of text with a list of what it could be. */
export function Combobox<O extends Option>(props: ComboboxProps<O>) {
  const { label, placeholder, value, onChange, options, onPick, onSubmit, icon, trailing, open = false, error, inputRef } = props;
  const id = useId();
  const [focused, setFocused] = useState(false);
  const [dismissed, setDismissed] = useState(false);
  const [chosen, setChosen] = useState<string>();
  const list = useRef<HTMLDivElement>(null);
  const shown = (open || (focused && !dismissed)) && options.length > 0;
  const found = options.findIndex((option) => option.id === chosen);
  const at = found === -1 && open ? 0 : found;
  const optionId = (index: number) => `${id}-${index}`;

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [at]);

  const move = (by: number) => {
    setDismissed(false);
    const next = at === -1 ? (by > 0 ? 0 : options.length - 1) : (at + by + options.length) % options.length;
    setChosen(options[next]?.id);
  };
  const pick = (option: O) => {
    setChosen(undefined);
    onPick(option);
  };
  return (
    <div className={cx('relative min-w-0', props.className)}>
      <div className="relative flex items-center">
        {icon !== undefined && <span className="pointer-events-none absolute left-2.5 text-ink-3">{icon}</span>}
        <input
          ref={inputRef}
          role="combobox"
          aria-label={label}
          aria-expanded={shown}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={shown && at >= 0 ? optionId(at) : undefined}
          aria-invalid={error === undefined ? undefined : true}
          aria-describedby={error === undefined ? undefined : `${id}-error`}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          placeholder={placeholder}
          value={value}
          onFocus={() => {
            setFocused(true);
            setDismissed(false);
          }}
          onBlur={() => {
            setFocused(false);
            setChosen(undefined);
          }}
          onChange={(event) => {
            setDismissed(false);
            setChosen(undefined);
            onChange(event.target.value, event.target.selectionStart ?? event.target.value.length);
          }}
          onKeyUp={(event) => {
            if (['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) {
              onChange(event.currentTarget.value, event.currentTarget.selectionStart ?? value.length);
            }
          }}
          onKeyDown={(event) => {
            const option = shown ? options[at] : undefined;
            if (event.key === 'ArrowDown') move(1);
            else if (event.key === 'ArrowUp') move(-1);
            else if (event.key === 'Enter' && option !== undefined) pick(option);
            else if (event.key === 'Tab' && option !== undefined && !open && !event.shiftKey) pick(option);
            else if (event.key === 'Enter') {
              setDismissed(true);
              onSubmit?.();
              // What was asked is in the page now, and the keys of the page are what comes next.
              if (!open) event.currentTarget.blur();
            } else if (event.key === 'Escape' && shown && !open) setDismissed(true);
            else if (event.key === 'Escape' && !open) event.currentTarget.blur();
            else return;
            event.preventDefault();
          }}
          className={cx(
            'h-8 w-full min-w-0 rounded-lg border bg-bg px-2.5 text-13 text-ink placeholder:text-ink-3',
            error === undefined ? 'border-line-strong' : 'border-failure',
            icon !== undefined && 'pl-8',
            trailing !== undefined && 'pr-10',
          )}
        />
        {trailing !== undefined && <span className="absolute right-2 flex items-center text-ink-3">{trailing}</span>}
      </div>
      <div
        ref={list}
        id={`${id}-list`}
        role="listbox"
        aria-label={`${label}: suggestions`}
        hidden={!shown}
        className={cx(
          'scroll-quietly overflow-y-auto bg-bg py-1',
          open ? 'mt-2 max-h-96' : 'absolute inset-x-0 top-full z-30 mt-1 max-h-80 rounded-lg shadow-pop',
        )}
      >
        {options.map((option, index) => {
          const heading = option.group !== options[index - 1]?.group ? option.group : undefined;
          return (
            <div key={option.id} role="presentation">
              {heading !== undefined && (
                <div role="presentation" className="px-3 pt-2 pb-0.5 text-11 font-medium text-ink-3">
                  {heading}
                </div>
              )}
              <div
                id={optionId(index)}
                role="option"
                aria-selected={index === at}
                // The line keeps the focus.
                onPointerDown={(event) => event.preventDefault()}
                onClick={() => pick(option)}
                className={cx('flex h-7 cursor-default items-center gap-2 px-3 text-13', index === at ? 'bg-selection' : 'hover:bg-panel')}
              >
                {option.content}
              </div>
            </div>
          );
        })}
      </div>
      {error !== undefined && (
        <p id={`${id}-error`} role="alert" className="mt-1 text-12 text-failure">
          ✕ {error}
        </p>
      )}
    </div>
  );
}
