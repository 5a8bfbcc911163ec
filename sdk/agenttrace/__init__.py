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

from ._errors import AgentTraceError, ConfigurationError
from ._run import Run
from ._stats import Stats
from ._step import Step
from ._tracer import AgentTracer

__all__ = ["AgentTraceError", "AgentTracer", "ConfigurationError", "Run", "Stats", "Step"]
__version__ = "0.1.0"
