"""The async action of a bulk upsert in the sandbox's Voucherify: its status, its result, its report."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

Customer = dict[str, Any]

REPORT_COLUMNS = ("source_id", "status", "key", "message", "details")

REPORT_LIFE = timedelta(days=7)

_QUOTES = {"name": "'{}'", "email": "<{}>", "phone": "({})"}


def quoted(customer: Customer) -> str:
    """A customer by name, email and phone, as error messages quote one: whoever logs these messages leaks them."""
    personal = {name: customer.get(name) for name in _QUOTES}
    return " ".join(_QUOTES[name].format(text) for name, text in personal.items() if text and isinstance(text, str))


@dataclass(frozen=True, slots=True)
class Action:
    """One accepted bulk upsert. It ends when the sandbox's clock shows `due` seconds.

    None of its customers is written if it `fails`, else all but those whose source ids are in `refused`.
    """

    id: str
    accepted_at: datetime
    due: float
    customers: list[Customer]
    refused: frozenset[str]
    fails: bool

    @property
    def written(self) -> list[Customer]:
        """Those that are customers when the action has ended."""
        return [] if self.fails else [each for each in self.customers if each["source_id"] not in self.refused]

    @property
    def has_report(self) -> bool:
        return bool(self.refused) and not self.fails

    def describe(self, now: float) -> dict[str, Any]:
        """The action without its result, as a listing has it."""
        has_ended = self.due <= now
        status = "IN_PROGRESS" if not has_ended else "FAILED" if self.fails else "DONE"
        outcome = "UNKNOWN" if not has_ended else "FAILED" if self.fails or self.refused else "SUCCESS"
        return {
            "id": self.id,
            "object": "async_action",
            "type": "CUSTOMERS_BULK_UPDATE",
            "status": status,
            "operation_status": outcome,
            "created_at": self.accepted_at.isoformat(),
            "progress": 100 if status == "DONE" else 0,
        }

    def result(self, report_url: str, errors_listed: int) -> dict[str, Any] | None:
        """The result of an ended action, None if it failed. Only its report names more than `errors_listed`."""
        if self.fails:
            return None
        failed = [each for each in self.customers if each["source_id"] in self.refused]
        errors = [{"source_id": each["source_id"], **_refusal(each)} for each in failed[:errors_listed]]
        result: dict[str, Any] = {
            "done_count": len(self.customers) - len(failed),
            "failed_count": len(failed),
            "reports": [],
            "errors": errors,
        }
        if self.has_report:
            available_till = self.accepted_at + REPORT_LIFE
            result |= {"reports": [report_url], "reports_available_till": available_till.isoformat()}
        return result

    def report(self) -> str:
        """CSV with a header, and a row for every customer, also for those that were written."""
        text = StringIO()
        rows = csv.DictWriter(text, REPORT_COLUMNS)
        rows.writeheader()
        for each in self.customers:
            is_refused = each["source_id"] in self.refused
            outcome = {"status": "FAILED", **_refusal(each)} if is_refused else {"status": "SUCCESS"}
            rows.writerow({"source_id": each["source_id"], **outcome})
        return text.getvalue()


def _refusal(customer: Customer) -> dict[str, str]:
    return {
        "key": "invalid_customer",
        "message": "Customer was refused",
        "details": f"{quoted(customer) or 'The customer'} was refused.",
    }
