"""The async action of a bulk upsert in the sandbox's Voucherify: its status, its result, its report."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

Customer = dict[str, Any]

REPORT_LIFE = timedelta(days=7)

NOT_IN_A_SHORT_LISTING = ("operation_status", "processing_time")
"""What the example of the vendor's older documentation does not show."""

_QUOTES = {"name": "'{}'", "email": "<{}>", "phone": "({})"}


def quoted(customer: Customer) -> str:
    """A customer by name, email and phone, as error messages quote one: whoever logs these messages leaks them."""
    personal = {name: customer.get(name) for name in _QUOTES}
    return " ".join(_QUOTES[name].format(text) for name, text in personal.items() if text and isinstance(text, str))


def timestamp(moment: datetime) -> str:
    """A time as Voucherify writes it: UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Action:
    """One accepted bulk upsert. It ends `seconds` after it was accepted, when the sandbox's clock shows `due` seconds.

    None of its customers is written if it `fails`, else all but those whose source ids are in `refused`. `found` gets
    the source ids of those that were customers before it ended.
    """

    id: str
    request_id: str
    accepted_at: datetime
    seconds: float
    due: float
    customers: list[Customer]
    refused: frozenset[str]
    fails: bool
    found: set[str] = field(default_factory=set)

    def is_written(self, customer: Customer) -> bool:
        """Whether this is a customer when the action has ended."""
        return not self.fails and customer["source_id"] not in self.refused

    def describe(self, now: float) -> dict[str, Any]:
        """The action without its result, as a listing has it."""
        has_ended = self.due <= now
        status = "IN_PROGRESS" if not has_ended else "FAILED" if self.fails else "DONE"
        outcome = "UNKNOWN" if not has_ended else "FAILED" if self.fails or self.refused else "SUCCESS"
        took = {"processing_time": round(self.seconds * 1000)} if has_ended else {}
        updated_at = self.accepted_at + timedelta(seconds=self.seconds if has_ended else 0)
        return {
            "id": self.id,
            "object": "async_action",
            "type": "CUSTOMERS.BULK_UPDATE",
            "status": status,
            "operation_status": outcome,
            "created_at": timestamp(self.accepted_at),
            "updated_at": timestamp(updated_at),
            "request_id": self.request_id,
            "progress": 100 if status == "DONE" else 0,
            **took,
        }

    def result(self, report_url: str, errors_listed: int) -> dict[str, Any]:
        """The result of an action that is DONE. Only its report names more than `errors_listed` refused customers."""
        failed = [each for each in self.customers if not self.is_written(each)]
        return {
            "done_count": len(self.customers) - len(failed),
            "failed_count": len(failed),
            "reports": [report_url],
            "reports_available_till": timestamp(self.accepted_at + REPORT_LIFE),
            "errors": [{"source_id": each["source_id"], **_refusal(each)} for each in failed[:errors_listed]],
        }

    def report(self, columns: list[str]) -> str:
        """CSV with a header, and a row for every customer. A column that it has nothing for is empty."""
        text = StringIO()
        rows = csv.DictWriter(text, columns, extrasaction="ignore")
        rows.writeheader()
        for each in self.customers:
            is_written = self.is_written(each)
            outcome = {"status": "SUCCESS"} if is_written else {"status": "FAILED", **_refusal(each)}
            flags = {"found": each["source_id"] in self.found, "updated": is_written}
            rows.writerow({"source_id": each["source_id"], **_in_lower_case(flags), **outcome})
        return text.getvalue()


def _in_lower_case(flags: dict[str, bool]) -> dict[str, str]:
    return {name: str(flag).lower() for name, flag in flags.items()}


def _refusal(customer: Customer) -> dict[str, str]:
    return {
        "key": "invalid_customer",
        "message": "Customer was refused",
        "details": f"{quoted(customer) or 'The customer'} was refused.",
    }
