"""Ledgers, and a Voucherify in memory whose upserts end as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from msgspec import structs

from segsync.connectors.base import LISTED_ACTIONS, ActionStatus, RefusedCustomer, UpsertResult
from segsync.errors import CallError
from segsync.ledger import batches, rejections, runs
from segsync.ledger.database import Ledger
from segsync.ledger.runs import Run
from segsync.mapping.metadata_schema import MetadataSchema
from segsync.models import FIRST_OFFSET, Connector, Outcomes
from tests.support.memory import MemorySink

SPACE, APPLICATION, HOST = "spa_mine", "app-of-the-project", "https://api.voucherify.io"
REASON = "invalid_customer: Customer was refused"


def open_ledger(
    path: Path | None = None, *, space_id: str = SPACE, application_id: str = APPLICATION, host: str = HOST
) -> Ledger:
    owner, source = Connector("Voucherify", application_id, host), Connector("Segment", space_id)
    return Ledger(path, owner=owner, source=source)


def begin(ledger: Ledger, first_offset: str = FIRST_OFFSET) -> int:
    """A new run; its number."""
    return ledger.read(partial(runs.begin_run, first_offset=first_offset, source=ledger.source)).id


def last_of(ledger: Ledger) -> Run:
    return ledger.read(partial(runs.runs, most=1))[0]


def run_of(ledger: Ledger, run: int) -> Run:
    return ledger.read(partial(runs.one_run, run=run))


def outcomes_of(ledger: Ledger, run: int) -> Outcomes:
    return run_of(ledger, run).outcomes


def replays_of(ledger: Ledger) -> list[int]:
    """The batches that are to be replayed."""
    return [replay.batch for replay in ledger.read(partial(batches.replays, since=0))]


def rejected_in(ledger: Ledger, run: int, kind: str = rejections.IS_REJECTED) -> list[str]:
    """Who was last rejected in this run, or is a dead letter of another kind."""
    return ledger.read(lambda db: [letter.segment_id for letter in rejections.unresolved(db, kind, run=run)])


def done(
    sent: int,
    refused: Iterable[str] = (),
    *,
    listed: int | None = None,
    reports: tuple[str, ...] = (),
    reason: str = REASON,
    words: str = "",
) -> UpsertResult:
    """A DONE action of `sent` customers that names the first `listed` of those that it refused (all, for None)."""
    ids = list(refused)
    return UpsertResult(
        status="DONE",
        is_success=not ids,
        done_count=sent - len(ids),
        failed_count=len(ids),
        refused=tuple(RefusedCustomer(source_id, reason, words=words) for source_id in ids[:listed]),
        reports=reports,
        request_id="req-result",
    )


def not_ended(status: str = "IN_PROGRESS") -> UpsertResult:
    return UpsertResult(status, False, None, None, (), (), None)


def failed() -> UpsertResult:
    return not_ended("FAILED")


class MemoryVoucherify(MemorySink):
    """Keeps the customers of every upsert; `verdict` decides its result, None for an action that is not known.

    `results` are those of all actions, in the order of the upserts; `calls` are the calls for results. `listed` says
    how the listing shows an action, and `names_refused` whether the result of an action names who was refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.about = Connector("Voucherify", identity=APPLICATION)
        self.verdict: Callable[[list[str]], UpsertResult | None] = lambda source_ids: done(len(source_ids))
        self.customers_of: dict[str, list[str]] = {}
        self.results: dict[str, UpsertResult | None] = {}
        self.reports: Mapping[str, Iterable[str] | CallError] = {}
        self.calls: list[str] = []
        self.schema: MetadataSchema | CallError = MetadataSchema()
        self.schema_calls = 0
        self.forgotten: Collection[str] = ()
        self.names_refused: Callable[[str], bool] = lambda _action_id: True
        self.listed: Callable[[str, UpsertResult], ActionStatus] = lambda _, result: ActionStatus(result.status)

    async def metadata_schema(self) -> MetadataSchema:
        self.schema_calls += 1
        if isinstance(self.schema, CallError):
            raise self.schema
        return self.schema

    async def upsert(self, body: bytes) -> str:
        action_id = await super().upsert(body)
        self.customers_of[action_id] = self.batches[-1]
        self.results[action_id] = self.verdict(self.batches[-1])
        return action_id

    async def action_statuses(self) -> dict[str, ActionStatus]:
        self.calls.append("listing")
        newest = list(self.results.items())[-LISTED_ACTIONS:]
        return {action_id: self.listed(action_id, result) for action_id, result in newest if result}

    async def upsert_result(self, action_id: str) -> UpsertResult | None:
        self.calls.append(action_id)
        result = None if action_id in self.forgotten else self.results.get(action_id)
        return result if result is None or self.names_refused(action_id) else structs.replace(result, refused=())

    async def reported(self, url: str) -> list[RefusedCustomer]:
        self.calls.append(url)
        report = self.reports[url]
        if isinstance(report, CallError):
            raise report
        return [RefusedCustomer(source_id, REASON) for source_id in report]

    @property
    def written(self) -> set[str]:
        """The source ids of the customers that Voucherify has at the end."""
        written: set[str] = set()
        for action_id, source_ids in self.customers_of.items():
            result = self.results[action_id]
            if result and result.status == "DONE":
                refused = {each.source_id for each in result.refused}
                written |= set(source_ids) - refused
        return written
