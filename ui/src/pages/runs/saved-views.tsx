import { useRouter } from '@tanstack/react-router';
import { Bookmark, Trash2 } from 'lucide-react';
import { useState } from 'react';

import { removeView, saveView, useViews } from '../../app/views.ts';
import { Button, buttonClass, IconButton } from '../../ui/button.tsx';
import { TextField } from '../../ui/field.tsx';
import { Popover } from '../../ui/popover.tsx';

/** Names for what the address says: to come back to, and to send. */
export function SavedViews() {
  const views = useViews();
  const router = useRouter();
  const [name, setName] = useState('');
  return (
    <Popover
      label="Saved views"
      align="end"
      className="w-80 max-w-[92vw]"
      buttonClassName={buttonClass()}
      button={
        <>
          <Bookmark size={14} aria-hidden="true" />
          Views
        </>
      }
    >
      {(close) => (
        <div className="flex flex-col gap-2">
          <form
            className="flex items-end gap-2"
            onSubmit={(event) => {
              event.preventDefault();
              if (name.trim() === '') return;
              const { pathname, searchStr } = router.state.location;
              saveView({ name: name.trim(), href: pathname + searchStr });
              setName('');
            }}
          >
            <TextField label="Save what is shown as" value={name} maxLength={80} onChange={(event) => setName(event.target.value)} className="grow" />
            <Button type="submit" kind="primary" disabled={name.trim() === ''}>
              Save
            </Button>
          </form>
          {views.length === 0 ? (
            <p className="px-1 py-2 text-12 text-ink-3">Views are kept in this browser. Each is a link, so it can be sent to anybody.</p>
          ) : (
            <ul aria-label="Saved views" className="scroll-quietly max-h-72 overflow-y-auto">
              {views.map((view) => (
                <li key={view.name} className="flex items-center">
                  <a
                    href={view.href}
                    className="flex h-7 min-w-0 grow items-center truncate rounded-md px-2 text-13 hover:bg-panel"
                    onClick={(event) => {
                      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
                      event.preventDefault();
                      close();
                      void router.navigate({ href: view.href });
                    }}
                  >
                    {view.name}
                  </a>
                  <IconButton label={`Remove the view ${view.name}`} icon={<Trash2 size={14} />} onClick={() => removeView(view.name)} />
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </Popover>
  );
}
