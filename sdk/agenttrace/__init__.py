"""Records what an AI agent did and why it failed, without its prompts, its answers or personal data.

    from agenttrace import AgentTracer

    tracer = AgentTracer("support-agent", "v1.0.0", environment="production", api_url="http://localhost:8000")

    with tracer.start_run() as run:
        with run.step("tool", "billing_api") as step:
            step.add_metadata({"http_status": 200})
        run.record_quality_signal(signal_type="schema_valid", signal_code="full_match", value=True)

After the constructor nothing raises into the agent and nothing waits for the network. The exceptions:

    Exception
    └── AgentTraceError
        └── ConfigurationError (also a ValueError): the constructor was given an option that cannot work
"""

from __future__ import annotations

from ._decorators import run_step
from ._errors import AgentTraceError, ConfigurationError
from ._run import Run
from ._scope import current_run, current_step
from ._stats import EventStats, Stats
from ._step import Step
from ._tracer import AgentTracer

# The names under which existing agents know them.
RunContext = Run
StepContext = Step

__all__ = [
    "AgentTraceError",
    "AgentTracer",
    "ConfigurationError",
    "EventStats",
    "Run",
    "RunContext",
    "Stats",
    "Step",
    "StepContext",
    "current_run",
    "current_step",
    "run_step",
]
__version__ = "0.1.0"
