"""For pytest: `pytest_plugins = ["agenttrace.pytest_plugin"]` in `conftest.py` gives the fixture `captured_runs`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .testing import CapturedRuns


@pytest.fixture
def captured_runs() -> Iterator[CapturedRuns]:
    """A tracer whose runs stay in memory: give its `tracer` to the agent, and look at `runs`, `only` or `steps`."""
    with CapturedRuns() as captured:
        yield captured
