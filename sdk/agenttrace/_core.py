"""What the runs of one tracer have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from ._clock import Clock
from ._items import Kind
from ._live import LiveRuns
from ._notes import Notes
from ._privacy import Json, Names

Identity = dict[str, Json]

encode: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
).encode


class Core:
    """The clock, the notes, the names that were cleaned before, and where runs go when they end."""

    def __init__(
        self,
        *,
        clock: Clock,
        notes: Notes,
        identity: Identity,
        live: LiveRuns | None,
        offer: Callable[[bytes, Kind], None],
    ) -> None:
        self.clock = clock
        self.monotonic = clock.monotonic
        self.notes = notes
        self.identity = identity
        self.live = live
        self.offer = offer
        self.step_names = Names(255, notes, "step")
        self.codes = Names(100, notes, "code")
        # Counts the forks since the process began: a run belongs to the process that began it.
        self.generation = 0
