"""The adapters, driven by the real frameworks with fake models: no network."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agenttrace.testing import CapturedRuns

# Frameworks warn of their own.
pytestmark = pytest.mark.filterwarnings("ignore")

CANARY = "canary-7f3a and some more words of private text"


@pytest.fixture
def captured() -> Iterator[CapturedRuns]:
    with CapturedRuns() as made:
        yield made
    assert CANARY.split(maxsplit=1)[0] not in json.dumps(made.transport.runs)
    assert made.tracer.stats().internal_errors == 0


def told(run: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(step["step_type"], step["name"], step["status"]) for step in run["steps"]]


# ---- LangChain and LangGraph


def graph(answers: list[Any], tool_fails: bool = False) -> Any:  # noqa: FBT001, FBT002
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import tool
    from langgraph.graph import END, START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    @tool
    def weather(city: str) -> str:
        """The weather somewhere."""
        if tool_fails:
            raise ConnectionError(f"no way to {city}")
        return f"{CANARY} in {city}"

    model = GenericFakeChatModel(messages=iter(answers))

    # Before 3.11 an asyncio task takes no context along, so LangChain asks async graphs to hand the config on.
    def think(state: MessagesState, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"], config)]}

    made = StateGraph(MessagesState)
    made.add_node("think", think)
    made.add_node("tools", ToolNode([weather], handle_tool_errors=False))
    made.add_edge(START, "think")
    made.add_conditional_edges("think", tools_condition, {"tools": "tools", END: END})
    made.add_edge("tools", "think")
    return made.compile()


def asks_for_weather() -> Any:
    from langchain_core.messages import AIMessage

    call = {"name": "weather", "args": {"city": CANARY}, "id": "call-1", "type": "tool_call"}
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    return AIMessage(content=CANARY, tool_calls=[call], usage_metadata=usage)


def test_a_graph_is_a_run_and_its_nodes_models_and_tools_are_steps(captured: CapturedRuns) -> None:
    from agenttrace.integrations.langchain import AgentTraceHandler
    from langchain_core.messages import AIMessage

    handler = AgentTraceHandler(captured.tracer)
    graph([asks_for_weather(), AIMessage(content=CANARY)]).invoke(
        {"messages": [("user", CANARY)]}, config={"callbacks": [handler]}
    )
    run = captured.only
    assert run["status"] == "success"
    assert told(run) == [
        ("other", "think", "ok"),
        ("plan", "GenericFakeChatModel", "ok"),
        ("other", "tools", "ok"),
        ("tool", "weather", "ok"),
        ("other", "think", "ok"),
        ("respond", "GenericFakeChatModel", "ok"),
    ]
    think, model, tools, weather, *_ = run["steps"]
    assert model["parent_step_id"] == think["step_id"]
    assert weather["parent_step_id"] == tools["step_id"]
    assert {key: model["metadata"][key] for key in ("input_tokens", "output_tokens", "tool_calls")} == {
        "input_tokens": 11,
        "output_tokens": 7,
        "tool_calls": 1,
    }


def test_an_exception_in_a_graph_is_the_failure_of_the_run(captured: CapturedRuns) -> None:
    from agenttrace.integrations.langchain import AgentTraceHandler

    with pytest.raises(ConnectionError):
        graph([asks_for_weather()], tool_fails=True).invoke(
            {"messages": [("user", CANARY)]}, config={"callbacks": [AgentTraceHandler(captured.tracer)]}
        )
    run = captured.only
    assert told(run)[-2:] == [("other", "tools", "failed"), ("tool", "weather", "failed")]
    failure = run["failure"]
    assert (failure["failure_code"], failure["message"]) == ("uncaught_exception", "ConnectionError")
    assert failure["step_id"] == run["steps"][-1]["step_id"]


def test_graphs_at_once_stay_apart_and_async_ones_too(captured: CapturedRuns) -> None:
    from agenttrace.integrations.langchain import AgentTraceHandler
    from langchain_core.messages import AIMessage

    handler = AgentTraceHandler(captured.tracer)

    async def all_of_them() -> None:
        made = [graph([asks_for_weather(), AIMessage(content=CANARY)]) for _ in range(10)]
        config: Any = {"callbacks": [handler]}
        await asyncio.gather(*(one.ainvoke({"messages": [("user", CANARY)]}, config=config) for one in made))

    asyncio.run(all_of_them())
    assert [len(run["steps"]) for run in captured.runs] == [6] * 10
    assert {run["status"] for run in captured.runs} == {"success"}


def test_a_chain_inside_of_a_run_is_steps_of_it(captured: CapturedRuns) -> None:
    from agenttrace.integrations.langchain import AgentTraceHandler
    from langchain_core.documents import Document
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.retrievers import BaseRetriever

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, *_: Any, **__: Any) -> list[Document]:
            return [Document(page_content=CANARY)] * 3

    handler = AgentTraceHandler(captured.tracer)
    chain = Shelf() | (lambda _: CANARY) | FakeListChatModel(responses=[CANARY])
    with captured.tracer.start_run() as run, run.step("plan", "mine") as mine:
        chain.invoke(CANARY, config={"callbacks": [handler]})
    # A model alone is a run, too.
    FakeListChatModel(responses=[CANARY]).invoke(CANARY, config={"callbacks": [handler]})
    first, second = captured.runs
    assert [(step["step_type"], step["name"]) for step in first["steps"]] == [
        ("plan", "mine"),
        ("other", "RunnableSequence"),
        ("retrieve", "Shelf"),
        ("respond", "FakeListChatModel"),
    ]
    assert first["steps"][1]["parent_step_id"] == mine.step_id
    assert first["steps"][2]["metadata"] == {"result_count": 3}
    assert [step["name"] for step in second["steps"]] == ["FakeListChatModel"]


# ---- the OpenAI Agents SDK


def agents_model(outputs: list[list[Any]]) -> Any:
    from agents import Model, ModelResponse, Usage, generation_span

    class FakeModel(Model):
        async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
            output = outputs.pop(0)
            with generation_span(input=[{"role": "user", "content": CANARY}], model="fake-1") as span:
                calls = [item for item in output if item.type == "function_call"]
                span.span_data.output = [{"content": CANARY, "tool_calls": calls}]
                span.span_data.usage = {"input_tokens": 5, "output_tokens": 3}
            return ModelResponse(output=output, usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            raise NotImplementedError

    return FakeModel()


def says(text: str) -> Any:
    from openai.types.responses import ResponseOutputMessage, ResponseOutputText

    content = ResponseOutputText(text=text, type="output_text", annotations=[])
    return ResponseOutputMessage(id="1", type="message", role="assistant", content=[content], status="completed")


def calls(name: str, **arguments: str) -> Any:
    from openai.types.responses import ResponseFunctionToolCall

    return ResponseFunctionToolCall(
        id="1", call_id=uuid.uuid4().hex, type="function_call", name=name, arguments=json.dumps(arguments)
    )


@pytest.fixture
def processor(captured: CapturedRuns) -> Iterator[None]:
    from agents import set_trace_processors, set_tracing_disabled
    from agenttrace.integrations.openai_agents import AgentTraceProcessor

    set_tracing_disabled(False)
    # In place of the one that sends to the vendor.
    set_trace_processors([AgentTraceProcessor(captured.tracer)])
    yield
    set_trace_processors([])


@pytest.mark.usefixtures("processor")
def test_a_workflow_is_a_run_with_its_agents_models_tools_and_handoffs(captured: CapturedRuns) -> None:
    from agents import Agent, RunConfig, Runner, function_tool

    @function_tool
    def weather(city: str) -> str:
        """The weather somewhere."""
        return f"{CANARY} in {city}"

    billing = Agent(name="billing", model=agents_model([[says(CANARY)]]))
    triage = Agent(
        name="triage",
        model=agents_model([[calls("weather", city=CANARY)], [calls("transfer_to_billing")]]),
        tools=[weather],
        handoffs=[billing],
    )
    config = RunConfig(workflow_name="support", group_id="session-1")
    Runner.run_sync(triage, CANARY, run_config=config)
    run = captured.only
    assert (run["status"], run["session_id"], run["metadata"]) == ("success", "session-1", {"workflow": "support"})
    assert told(run) == [
        ("other", "triage", "ok"),
        ("plan", "fake-1", "ok"),
        ("tool", "weather", "ok"),
        ("plan", "fake-1", "ok"),
        ("plan", "handoff", "ok"),
        ("other", "billing", "ok"),
        ("respond", "fake-1", "ok"),
    ]
    assert run["steps"][1]["metadata"] == {"model": "fake-1", "input_tokens": 5, "output_tokens": 3, "tool_calls": 1}
    assert run["steps"][1]["parent_step_id"] == run["steps"][0]["step_id"]
    (decision,) = run["decisions"]
    assert (decision["selected"], decision["reason_code"]) == ("billing", "conditional_branch")


@pytest.mark.usefixtures("processor")
def test_a_workflow_that_ends_with_an_error_is_a_failure(captured: CapturedRuns) -> None:
    from agents import Agent, MaxTurnsExceeded, Runner, function_tool

    @function_tool
    def again() -> str:
        """Leads nowhere."""
        raise ValueError(CANARY)

    agent = Agent(name="lost", model=agents_model([[calls("again")] for _ in range(5)]), tools=[again])
    with pytest.raises(MaxTurnsExceeded):
        Runner.run_sync(agent, CANARY, max_turns=2)
    run = captured.only
    assert (run["status"], run["failure"]["failure_code"]) == ("failure", "uncaught_exception")
    assert ("tool", "again", "failed") in told(run)
