"""What is sent: encoded runs and events, and the queue in which they wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

RUNS_PATH = "/v1/runs/batch"
EVENTS_PATH = "/v1/events"


class Kind(IntEnum):
    """What an item is. The numbers stand in spool files."""

    RUN = 0
    """A whole run."""
    EVENT = 1
    """An event of a live run."""
    END = 2
    """The event with which a live run ends: it counts as the run, too."""

    @property
    def path(self) -> str:
        """Where it is sent."""
        return RUNS_PATH if self is Kind.RUN else EVENTS_PATH


@dataclass(frozen=True, slots=True)
class Item:
    """One encoded run or event."""

    body: bytes
    kind: Kind
    number: int
    """Counts what was offered, from 1; 0 for what an earlier process left behind."""
    since: float = 0.0
    """The monotonic moment it was queued."""


class Queue:
    """Items in the order they came, bounded in number and bytes. Not locked: its owner does that."""

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._items: deque[Item] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def len_bytes(self) -> int:
        """The bytes of all that waits."""
        return self._bytes

    @property
    def oldest(self) -> float:
        """The moment since which the first item waits. The queue must not be empty."""
        return self._items[0].since

    def has_room(self, len_bytes: int) -> bool:
        """Whether one more item of this length fits."""
        return len(self._items) < self._most_items and self._bytes + len_bytes <= self._most_bytes

    def add(self, item: Item) -> None:
        """Takes the item."""
        self._items.append(item)
        self._bytes += len(item.body)

    def put_back(self, items: Iterable[Item], *, last: bool = False) -> None:
        """Takes back items that `take` gave: they are the next ones again, or the last ones."""
        back = list(items)
        if last:
            self._items.extend(back)
        else:
            self._items.extendleft(reversed(back))
        self._bytes += sum(len(item.body) for item in back)

    def take(self, most_items: int, most_bytes: int) -> list[Item]:
        """The first items that go to one path, as many as fit in a batch; at least one when any waits."""
        taken: list[Item] = []
        size = 0
        while self._items and len(taken) < most_items:
            item = self._items[0]
            size += len(item.body)
            if taken and (size > most_bytes or item.kind.path != taken[0].kind.path):
                break
            taken.append(self._items.popleft())
            self._bytes -= len(item.body)
        return taken

    def take_all(self) -> list[Item]:
        """Everything."""
        taken = list(self._items)
        self._items.clear()
        self._bytes = 0
        return taken
