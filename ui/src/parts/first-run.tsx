/** What stands where nothing was ever sent: how to send the first run. It turns live when the run arrives. */

import { useQuery, useQueryClient } from '@tanstack/react-query';

import { healthQuery } from '../api/queries.ts';
import { useTail } from '../api/tail.ts';
import { tick } from '../app/clock.ts';
import { CopyButton } from '../ui/copy.tsx';

const python = (address: string) => `# pip install ./sdk
from agenttrace import AgentTracer

tracer = AgentTracer(
    agent_id="my-agent",
    agent_version="1.0.0",
    api_url="${address}",
)
with tracer.start_run() as run:
    with run.step("plan", "decide"):
        ...
    with run.step("tool", "look_up"):
        ...
tracer.close()`;

const curl = (address: string) => `now=$(date -u +%FT%TZ)
curl ${address}/v1/runs \\
  -H 'content-type: application/json' \\
  -d '{"agent_id": "my-agent", "agent_version": "1.0.0",
       "status": "success",
       "started_at": "'$now'", "ended_at": "'$now'",
       "steps": [{"seq": 0, "step_type": "plan",
                  "name": "decide", "latency_ms": 12,
                  "started_at": "'$now'",
                  "ended_at": "'$now'"}]}'`;

/** Where the browser reaches the ingest listener: the host that served this page, and the port that the server names. */
export function ingestAddress(hostname: string, port: number): string {
  return `http://${hostname}:${port}`;
}

export function FirstRun() {
  const client = useQueryClient();
  const health = useQuery(healthQuery);
  useTail(true, () => {
    tick();
    return client.invalidateQueries();
  });
  const port = health.data?.ingest_port;
  const address = ingestAddress(location.hostname, port ?? 8000);
  return (
    <div className="mx-auto flex w-full max-w-[1080px] flex-col gap-4 px-5 py-8">
      <h2 className="text-16 font-semibold">Send the first run</h2>
      <p className="max-w-[76ch] text-13 text-ink-2">
        {port === null ? (
          <>
            Nothing has arrived yet, and this server takes no runs in: its ingest listener is off. Start it with <code className="font-mono text-12">--ingest-addr</code>,
            by default 127.0.0.1:8000.
          </>
        ) : (
          <>
            Nothing has arrived at this server yet. It takes runs in at <code className="font-mono text-12">{address}</code>. Prompts and answers are never stored: what
            could hold them is refused or removed.
          </>
        )}
      </p>
      <p role="status" className="flex items-center gap-2 rounded-lg border border-running/40 bg-running-soft px-3 py-2 text-13 text-running">
        <span aria-hidden="true" className="animate-[breathe_1.6s_ease-in-out_infinite]">
          ◌
        </span>
        Waiting for the first run. This page shows it when it is there.
      </p>
      <div className="grid gap-4 lg:grid-cols-2">
        <Snippet title="Python" text={python(address)} />
        <Snippet title="curl" text={curl(address)} />
      </div>
    </div>
  );
}

function Snippet({ title, text }: { title: string; text: string }) {
  return (
    <section aria-label={title} className="flex min-w-0 flex-col rounded-lg border border-line bg-panel">
      <header className="flex items-center justify-between border-b border-line px-3 py-1">
        <h3 className="text-12 font-semibold text-ink-2">{title}</h3>
        <CopyButton label={`Copy the ${title} snippet`} text={() => text} />
      </header>
      <pre tabIndex={0} className="scroll-quietly grow overflow-x-auto p-3 font-mono text-12 leading-5">
        {text}
      </pre>
    </section>
  );
}
