"""Whether a listing of actions is believed that says which of them succeeded."""

from __future__ import annotations

from segsync.ledger.batches import OpenBatch

FIRST_CHECKED, CHECKED_EVERY = 10, 100
"""This many results that the listing calls a success are read singly too, and then one in this many."""


class ListingTrust:
    """Believes a listing as long as the results that are read singly agree with it.

    What it says in between is `held` until the next of these agrees.
    """

    def __init__(self) -> None:
        self.held: list[OpenBatch] = []
        self._successes = 0
        self._believes = True

    def believes(self, batch: OpenBatch) -> bool:
        """Hold a batch that the listing calls a success; False where its result is to be read."""
        self._successes += 1
        is_check = self._successes <= FIRST_CHECKED or self._successes % CHECKED_EVERY == 0
        if is_check or not self._believes:
            return False
        self.held.append(batch)
        return True

    def checked(self, *, agrees: bool) -> list[OpenBatch]:
        """A result that the listing calls a success was read. If it `agrees`, those that were held are confirmed."""
        held, self.held = self.held, []
        self._believes &= agrees
        return held if agrees else []
