"""An asynchronous agent: several questions at once, tools in parallel, a sub-agent, a conversation.

    make serve                                    # in one terminal
    PYTHONPATH=. python examples/async_agent.py   # in another

The server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import asyncio
import os
import sys

from sdk.agenttrace import AgentTracer, current_run, run_step

API_URL = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")

tracer = AgentTracer("trip-agent", "v3.1.0", API_URL)


@run_step("tool", "weather")
async def weather(place: str) -> str:
    """Finds its run by itself: it was called inside of one."""
    await asyncio.sleep(0.02)
    return "rain" if place in {"Bergen", "Glasgow"} else "sun"


@run_step("tool", "trains")
async def trains(place: str) -> int:
    """How many hours it takes."""
    await asyncio.sleep(0.03)
    return len(place)


async def summarise(facts: list[str]) -> str:
    """A sub-agent, with a run of its own that knows its parent."""
    run = current_run()
    if run is None:
        return ", ".join(facts)
    async with run.start_child("summary-agent", "v1.0.0") as child, child.step("respond", "write"):
        await asyncio.sleep(0.01)
    return ", ".join(facts)


@tracer.run
async def plan_trip(place: str) -> str:
    """One question, one run."""
    run = current_run()
    if run is not None:
        run.record_decision("orchestration_path", "weather_and_trains", "parallel_preferred")
    sky, hours = await asyncio.gather(weather(place), trains(place))
    return await summarise([place, sky, f"{hours} hours"])


async def answer_all(places: list[str]) -> list[str]:
    """All of them at once, in one conversation."""
    with tracer.session("trips-of-today"):
        return await asyncio.gather(*(plan_trip(place) for place in places))


def main() -> int:
    """Plans trips, and says where to look."""
    for trip in asyncio.run(answer_all(["Bergen", "Vienna", "Glasgow", "Porto"])):
        print(trip)
    everything_went_out = tracer.close()
    print(f"{tracer.stats().sent} of {tracer.stats().finished} runs sent to {API_URL}")
    return 0 if everything_went_out else 1


if __name__ == "__main__":
    sys.exit(main())
