"""Collects customers into batches: pure, no I/O, so that it can be tested with any order of arrivals."""

from __future__ import annotations

from dataclasses import dataclass

from segsync.pipeline.engine.checkpoint import OpenPage


@dataclass(frozen=True, slots=True)
class Item:
    """A customer on its way into a batch: encoded, with what its outcome needs."""

    page: OpenPage
    segment_id: str
    source_id: str
    encoded: bytes
    place: int = 0
    """Where the profile was listed, counted from 0 on."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Customers of one bulk upsert, no two with the same source id."""

    items: tuple[Item, ...]

    def body(self) -> bytes:
        """The request body: a JSON array."""
        return b"[" + b",".join([item.encoded for item in self.items]) + b"]"

    def halves(self) -> tuple[Batch, Batch]:
        """The two halves of a batch of two or more."""
        middle = len(self.items) // 2
        return Batch(self.items[:middle]), Batch(self.items[middle:])


class BatchBuilder:
    """Collects customers into batches of exactly `size`, fewer only where `max_bytes` demands it."""

    def __init__(self, size: int, max_bytes: int) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._open()

    def _open(self) -> None:
        self._items: list[Item] = []
        self._body_bytes = 1  # every customer adds itself and a comma or bracket

    @property
    def is_empty(self) -> bool:
        return not self._items

    def add(self, item: Item) -> list[Batch]:
        """Add one customer, whose source id is in no batch under way; returns the batches that it completes."""
        batches = [] if self._fits(item) else self.flush()
        self._items.append(item)
        self._body_bytes += len(item.encoded) + 1
        return batches + self.flush() if len(self._items) == self._size else batches

    def _fits(self, item: Item) -> bool:
        return not self._items or self._body_bytes + len(item.encoded) + 1 <= self._max_bytes

    def flush(self) -> list[Batch]:
        """The customers that are left, as a batch if there are any."""
        batches = [Batch(tuple(self._items))] if self._items else []
        self._open()
        return batches
