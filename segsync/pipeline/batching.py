"""Collects customers into batches: pure, no I/O, so that it can be tested with any order of arrivals."""

from __future__ import annotations

from dataclasses import dataclass

from segsync.pipeline.checkpoint import OpenPage


@dataclass(frozen=True, slots=True)
class Item:
    """A customer on its way into a batch: encoded, with what its outcome needs."""

    page: OpenPage
    segment_id: str
    source_id: str
    encoded: bytes


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
    """Collects customers into batches of exactly `size`, fewer only where `max_bytes` demands it.

    A customer whose source id is in the open batch already waits for the next one; at most `size` wait.
    """

    def __init__(self, size: int, max_bytes: int) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._held: list[Item] = []
        self._open()

    def _open(self) -> None:
        self._items: list[Item] = []
        self._source_ids: set[str] = set()
        self._body_bytes = 1  # every customer adds itself and a comma or bracket

    @property
    def is_empty(self) -> bool:
        return not self._items

    def add(self, item: Item) -> list[Batch]:
        """Add one customer; returns the batches that it completes."""
        batches: list[Batch] = []
        while item.source_id not in self._source_ids and not self._fits(item):
            batches += self._close()  # which opens the next with what was held: that may leave no room either
        if item.source_id in self._source_ids:
            self._held.append(item)
            is_complete = len(self._held) >= self._size
        else:
            self._items.append(item)
            self._source_ids.add(item.source_id)
            self._body_bytes += len(item.encoded) + 1
            is_complete = len(self._items) == self._size
        return batches + self._close() if is_complete else batches

    def _fits(self, item: Item) -> bool:
        return not self._items or self._body_bytes + len(item.encoded) + 1 <= self._max_bytes

    def flush(self) -> list[Batch]:
        """The customers that are left, in batches as full as possible."""
        batches: list[Batch] = []
        while self._items:
            batches += self._close()
        return batches

    def _close(self) -> list[Batch]:
        batches = [Batch(tuple(self._items))]
        held, self._held = self._held, []
        self._open()
        for item in held:
            batches += self.add(item)
        return batches
