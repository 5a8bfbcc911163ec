"""A long job whose run can be watched while it goes on: every step is sent as it begins and ends.

    make serve                                    # in one terminal
    PYTHONPATH=. python examples/live_agent.py    # in another
    curl -s 'localhost:8001/v1/runs?live=1'       # in a third, meanwhile

Kill it in the middle (`kill -9`), and the run stays with the steps it made, as abandoned once its lease is over. The
server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time

from sdk.agenttrace import AgentTracer

API_URL = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")


def main() -> int:
    """Works through the parts, one step each."""
    parser = argparse.ArgumentParser(description="A long job whose run can be watched while it goes on.")
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each part takes")
    options = parser.parse_args()

    tracer = AgentTracer("indexing-agent", "v1.0.0", API_URL, stream=True, heartbeat_s=5)
    with tracer.start_run(metadata={"parts": options.parts}) as run:
        print(f"run {run.run_id}", flush=True)
        for part in range(options.parts):
            with run.step("tool", "digest_part") as step:
                until = time.monotonic() + options.seconds
                rounds, digest = 0, b""
                while time.monotonic() < until:
                    digest, rounds = hashlib.sha256(digest).digest(), rounds + 1
                step.add_metadata(part=part, rounds=rounds)
            print(f"part {part + 1} of {options.parts}", flush=True)
        run.record_quality_signal("tool_success", "first_attempt", True)
    everything_went_out = tracer.close()
    events = tracer.stats().events
    print(f"{events.sent} of {events.recorded} events sent to {API_URL}")
    return 0 if everything_went_out else 1


if __name__ == "__main__":
    sys.exit(main())
