"""The OpenAI Agents SDK: a tracing processor.

    from agents import add_trace_processor
    from agenttrace import AgentTracer
    from agenttrace.integrations.openai_agents import AgentTraceProcessor

    tracer = AgentTracer("triage-agent", "v2.1.0")
    add_trace_processor(AgentTraceProcessor(tracer))

`set_trace_processors([..])` instead of `add_trace_processor` also keeps the SDK from sending its own traces, which hold
prompts and answers, to its vendor.

A trace is a run. Agents, model calls, tools, guardrails and handoffs are its steps, and a handoff is a decision too. A
model call that asks for tools is a `plan` step, every other one a `respond` step. What is recorded of them: names,
timing, outcome, the model, counts of tokens and tool calls.
"""

from __future__ import annotations

from typing import Any

from agents.tracing import Span, Trace, TracingProcessor

from .._run import Run
from .._step import Step
from .._tracer import AgentTracer
from ._spans import Spans, as_mapping, as_sequence

__all__ = ["AgentTraceProcessor"]

_STEP_TYPES = {"function": "tool", "generation": "respond", "response": "respond", "handoff": "plan"}
# Around the agents that they run: worth no step of their own.
_PASSED_ON = frozenset({"task", "turn"})


class AgentTraceProcessor(TracingProcessor):
    """Records what the OpenAI Agents SDK tells of."""

    def __init__(self, tracer: AgentTracer) -> None:
        self._tracer = tracer
        self._spans = Spans(tracer)

    def on_trace_start(self, trace: Trace) -> None:
        """A workflow begins."""
        with self._spans.quietly("on_trace_start"):
            trace_id = trace.trace_id.removeprefix("trace_")
            links = {
                "session_id": getattr(trace, "group_id", None),
                "trace_id": trace_id if _is_hex(trace_id) else None,
            }
            self._spans.begin_run(trace.trace_id, links)
            run = self._spans.find(trace.trace_id)
            if run is not None:
                run.add_metadata({"workflow": trace.name})

    def on_trace_end(self, trace: Trace) -> None:
        """A workflow ended."""
        with self._spans.quietly("on_trace_end"):
            self._spans.end(trace.trace_id)

    def on_span_start(self, span: Span[Any]) -> None:
        """A part of the workflow begins."""
        with self._spans.quietly("on_span_start"):
            parent = span.parent_id or span.trace_id
            kind = span.span_data.type
            if kind in _PASSED_ON:
                self._spans.pass_on(span.span_id, parent)
            else:
                self._spans.begin(span.span_id, parent, _STEP_TYPES.get(kind, "other"), _name(span.span_data))

    def on_span_end(self, span: Span[Any]) -> None:
        """A part of the workflow ended."""
        with self._spans.quietly("on_span_end"):
            data = span.span_data
            facts = _facts(data)
            begun = self._spans.find(span.span_id)
            if data.type == "handoff" and isinstance(begun, Step) and data.to_agent:
                begun.run.record_decision(
                    "orchestration_path", str(data.to_agent), "conditional_branch", step_id=begun.step_id
                )
            # Where an error left everything: a tool's error goes to the model, which may do without it.
            if span.error is not None and data.type in {"agent", "task"}:
                run = self._spans.find(span.trace_id)
                if isinstance(run, Run) and run.status != "failure":
                    run.record_failure("orchestration", "uncaught_exception", "The workflow ended with an error")
            asks = data.type in {"generation", "response"} and facts.get("tool_calls")
            self._spans.end(
                span.span_id,
                facts=facts,
                failed=None if span.error is None else f"{data.type}_error",
                becomes="plan" if asks else None,
            )

    def shutdown(self) -> None:
        """The workflows are over: sends what waits."""
        self._tracer.flush()

    def force_flush(self) -> None:
        """Sends what waits."""
        self._tracer.flush()


def _is_hex(text: str) -> bool:
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004 - the contract's number


def _name(data: Any) -> str:
    return str(getattr(data, "name", None) or getattr(data, "model", None) or data.type)


def _facts(data: Any) -> dict[str, Any]:
    """Models and counts; nothing of what was said."""
    facts: dict[str, Any] = {}
    if data.type == "generation":
        calls = [as_sequence(as_mapping(message).get("tool_calls")) for message in as_sequence(data.output)]
        facts = {"model": data.model, **_tokens(data.usage), "tool_calls": sum(map(len, calls))}
    elif data.type == "response" and data.response is not None:
        calls = [item for item in as_sequence(data.response.output) if getattr(item, "type", None) == "function_call"]
        usage = data.usage or getattr(data.response, "usage", None)
        facts = {"model": data.response.model, **_tokens(usage), "tool_calls": len(calls)}
    elif data.type == "guardrail":
        facts = {"triggered": bool(data.triggered)}
    elif data.type == "mcp_tools":
        facts = {"result_count": len(as_sequence(data.result))}
    return {name: fact for name, fact in facts.items() if fact}


def _tokens(usage: Any) -> dict[str, Any]:
    told = as_mapping(usage) or {name: getattr(usage, name, None) for name in _TOKENS}
    return {name: told.get(name) for name in _TOKENS}


_TOKENS = ("input_tokens", "output_tokens")
