"""A LangGraph agent, recorded by the callback handler: no line of the graph knows of it. The model is a fake one.

    pip install langgraph
    make serve                                         # in one terminal
    PYTHONPATH=. python examples/langgraph_agent.py    # in another

The server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from sdk.agenttrace import AgentTracer
from sdk.agenttrace.integrations.langchain import AgentTraceHandler

API_URL = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")


@tool
def multiply(left: int, right: int) -> int:
    """Multiplies two numbers."""
    return left * right


def script(left: int, right: int) -> list[AIMessage]:
    """What the model says: it asks for the tool, then answers."""
    call = {"name": "multiply", "args": {"left": left, "right": right}, "id": f"call-{left}", "type": "tool_call"}
    asks = AIMessage(
        content="",
        tool_calls=[call],
        usage_metadata={"input_tokens": 42, "output_tokens": 9, "total_tokens": 51},
    )
    return [asks, AIMessage(content=f"It is {left * right}.")]


def agent(model: GenericFakeChatModel) -> Any:  # noqa: ANN401 - a compiled graph
    """A graph that lets the model call the tool until it answers."""

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([multiply]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "think")
    return graph.compile()


def main() -> int:
    """Asks, and says where to look."""
    tracer = AgentTracer("calculating-agent", "v1.0.0", API_URL)
    handler = AgentTraceHandler(tracer)
    for left, right in ((6, 7), (12, 12)):
        graph = agent(GenericFakeChatModel(messages=iter(script(left, right))))
        question = {"messages": [("user", f"What is {left} times {right}?")]}
        print(graph.invoke(question, config={"callbacks": [handler]})["messages"][-1].content)
    everything_went_out = tracer.close()
    print(f"{tracer.stats().sent} of {tracer.stats().finished} runs sent to {API_URL}")
    return 0 if everything_went_out else 1


if __name__ == "__main__":
    sys.exit(main())
