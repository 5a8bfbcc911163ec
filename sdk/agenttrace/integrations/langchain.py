"""LangChain and LangGraph: a callback handler.

    from agenttrace import AgentTracer
    from agenttrace.integrations.langchain import AgentTraceHandler

    tracer = AgentTracer("research-agent", "v2.1.0")
    graph.invoke(question, config={"callbacks": [AgentTraceHandler(tracer)]})

The outermost call is a run, unless the code already runs inside one. Nodes of a graph, model calls, tools and
retrievers are its steps; a model call that asks for tools is a `plan` step, every other one a `respond` step. What is
recorded of them: names, timing, outcome, the class of an exception, the model, counts of tokens, tool calls and
documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from .._tracer import AgentTracer
from ._spans import Spans, as_mapping, as_sequence

__all__ = ["AgentTraceHandler"]


class AgentTraceHandler(BaseCallbackHandler):
    """Records what LangChain and LangGraph tell of. One handler may serve any number of calls, also at once."""

    # In the thread that runs: the order of events is that of what happened.
    run_inline = True

    def __init__(self, tracer: AgentTracer) -> None:
        self._spans = Spans(tracer)

    def on_chain_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **told: Any) -> None:
        """A chain, a graph or a node of a graph begins."""
        with self._spans.quietly("on_chain_start"):
            name = _name(args, told)
            if parent_run_id is None or self._spans.find(parent_run_id) is None:
                self._spans.begin_outermost(run_id, "other", name)
            elif name == as_mapping(told.get("metadata")).get("langgraph_node"):
                self._spans.begin(run_id, parent_run_id, "other", name)
            else:
                # A part of the plumbing: what runs in it belongs to what is around it.
                self._spans.pass_on(run_id, parent_run_id)

    def on_chain_end(self, *_: Any, run_id: UUID, **told: Any) -> None:
        """A chain, a graph or a node ended."""
        del told
        with self._spans.quietly("on_chain_end"):
            self._spans.end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        """A chain, a graph or a node failed."""
        del told
        self._failed(run_id, error)

    def on_chat_model_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **told: Any) -> None:
        """A chat model is called."""
        with self._spans.quietly("on_chat_model_start"):
            self._begin_model(args, run_id, parent_run_id, told)

    def on_llm_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **told: Any) -> None:
        """A model is called."""
        with self._spans.quietly("on_llm_start"):
            self._begin_model(args, run_id, parent_run_id, told)

    def on_llm_end(self, response: Any, *, run_id: UUID, **told: Any) -> None:
        """A model answered."""
        del told
        with self._spans.quietly("on_llm_end"):
            facts = _facts_of_answer(response)
            self._spans.end(run_id, facts=facts, becomes="plan" if facts.get("tool_calls") else "respond")

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        """A model call failed."""
        del told
        self._failed(run_id, error)

    def on_tool_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **told: Any) -> None:
        """A tool is called."""
        with self._spans.quietly("on_tool_start"):
            self._spans.begin(run_id, parent_run_id, "tool", _name(args, told))

    def on_tool_end(self, output: Any, *, run_id: UUID, **told: Any) -> None:
        """A tool answered; a tool message may say that it failed."""
        del told
        with self._spans.quietly("on_tool_end"):
            failed = getattr(output, "status", None) == "error"
            self._spans.end(run_id, failed="tool_error" if failed else None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        """A tool failed."""
        del told
        self._failed(run_id, error)

    def on_retriever_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **told: Any) -> None:
        """A retriever is asked."""
        with self._spans.quietly("on_retriever_start"):
            self._spans.begin(run_id, parent_run_id, "retrieve", _name(args, told))

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **told: Any) -> None:
        """A retriever answered."""
        del told
        with self._spans.quietly("on_retriever_end"):
            self._spans.end(run_id, facts={"result_count": len(documents)})

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **told: Any) -> None:
        """A retriever failed."""
        del told
        self._failed(run_id, error)

    def _begin_model(self, args: Any, run_id: UUID, parent_run_id: UUID | None, told: Mapping[str, Any]) -> None:
        self._spans.begin(run_id, parent_run_id, "respond", _name(args, told))
        step = self._spans.find(run_id)
        about = as_mapping(told.get("metadata"))
        facts = {"model": about.get("ls_model_name"), "provider": about.get("ls_provider")}
        if step is not None:
            step.add_metadata({name: fact for name, fact in facts.items() if fact is not None})

    def _failed(self, run_id: UUID, error: BaseException) -> None:
        with self._spans.quietly("failing"):
            # How LangGraph pauses a graph to ask somebody is an exception, and no failure.
            pauses = any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)
            self._spans.end(run_id, error=None if pauses else error)


def _name(args: Sequence[Any], told: Mapping[str, Any]) -> str:
    """The name that LangChain gives, or that of the class."""
    serialized = as_mapping(args[0] if args else told.get("serialized"))
    path = as_sequence(serialized.get("id"))
    return str(told.get("name") or serialized.get("name") or (path[-1] if path else "unnamed"))


def _facts_of_answer(response: Any) -> dict[str, int]:
    """Counts of tokens and tool calls; nothing of what was said."""
    messages = [getattr(entry, "message", None) for batch in response.generations for entry in batch]
    usage = [as_mapping(getattr(message, "usage_metadata", None)) for message in messages]
    facts = {key: sum(int(one.get(key) or 0) for one in usage) for key in ("input_tokens", "output_tokens")}
    facts["tool_calls"] = sum(len(as_sequence(getattr(message, "tool_calls", None))) for message in messages)
    return {key: count for key, count in facts.items() if count}
