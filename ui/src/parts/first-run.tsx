/** What stands where nothing was ever sent: how to send the first run. It turns live when the run arrives. */

import { useQueryClient } from '@tanstack/react-query';

import { useTail } from '../api/tail.ts';
import { tick } from '../app/clock.ts';
import { CopyButton } from '../ui/copy.tsx';

const ADDRESS = `http://${typeof location === 'undefined' ? 'localhost' : location.hostname}:8000`;

const PYTHON = `pip install ./sdk

from agenttrace import AgentTracer

tracer = AgentTracer("my-agent", "1.0.0")
with tracer.start_run() as run:
    with run.step("plan", "decide"):
        ...
tracer.close()`;

const CURL = `curl ${ADDRESS}/v1/runs \\
  -H 'content-type: application/json' \\
  -d '{"agent_id":"my-agent","agent_version":"1.0.0","status":"success",
       "started_at":"'$(date -u +%FT%TZ)'","ended_at":"'$(date -u +%FT%TZ)'",
       "steps":[{"seq":0,"step_type":"plan","name":"decide","latency_ms":0,
                 "started_at":"'$(date -u +%FT%TZ)'","ended_at":"'$(date -u +%FT%TZ)'"}]}'`;

export function FirstRun() {
  const client = useQueryClient();
  useTail(true, () => {
    tick();
    return client.invalidateQueries();
  });
  return (
    <div className="mx-auto flex w-full max-w-[720px] flex-col gap-4 px-5 py-8">
      <h2 className="text-16 font-semibold">Send the first run</h2>
      <p className="text-13 text-ink-2">
        Nothing has arrived at this server yet. Runs go to its ingest listener, by default at <code className="font-mono text-12">{ADDRESS}</code>. Prompts and
        answers are never stored: what could hold them is refused or removed.
      </p>
      <Snippet title="curl" text={CURL} />
      <Snippet title="Python" text={PYTHON} />
      <p role="status" className="flex items-center gap-2 text-13 text-running">
        <span aria-hidden="true">◌</span> Waiting for the first run. This page shows it when it is there.
      </p>
    </div>
  );
}

function Snippet({ title, text }: { title: string; text: string }) {
  return (
    <section aria-label={title} className="rounded-lg border border-line bg-panel">
      <header className="flex items-center justify-between border-b border-line px-3 py-1">
        <h3 className="text-12 font-semibold text-ink-2">{title}</h3>
        <CopyButton label="Copy" text={() => text} />
      </header>
      <pre tabIndex={0} className="scroll-quietly overflow-x-auto p-3 font-mono text-12 leading-5">
        {text}
      </pre>
    </section>
  );
}
