"""The report of a check: a finding for each thing to look at, whatever could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from segsync.check import run as check
from segsync.check.findings import TITLES, Finding, finding
from segsync.check.run import CheckReport, report_of_settings, run_check
from segsync.check.sample import ReadSample, SampledProfile
from segsync.connectors.segment_profile import TraitsRead
from segsync.errors import Problem
from segsync.events import CallAnswered, Event
from segsync.mapping.metadata import TraitChoice
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from tests.conftest import run_virtual
from tests.support.configured import settings

ADA = SampledProfile("use_1", [("user_id", "1")], TraitsRead({"name": "Ada", "metadata": {"plan": "pro"}}, 1))


class FakeProbe:
    """The answers of the services, without asking them."""

    def __init__(self, sample: ReadSample | None, schema: MetadataSchema | str | None) -> None:
        self._sample, self._schema = sample, schema

    def __call__(self, *_arguments: Any, **_options: Any) -> FakeProbe:
        return self

    async def sample(self, _profiles: int) -> tuple[Finding, ReadSample | None]:
        return finding("segment", "ok" if self._sample else "failed", "a detail"), self._sample

    async def schema(self) -> tuple[Finding, MetadataSchema | str | None]:
        return finding("voucherify", "ok" if self._schema else "failed", "a detail"), self._schema


def checked(
    monkeypatch: pytest.MonkeyPatch,
    sample: ReadSample | None,
    schema: MetadataSchema | str | None,
    metadata_traits: str = "",
    **options: Any,
) -> CheckReport:
    monkeypatch.setattr(check, "ServiceProbe", FakeProbe(sample, schema))
    return run_virtual(run_check(settings(metadata_traits=TraitChoice.parse(metadata_traits)), **options))


def states(report: CheckReport) -> dict[str, str]:
    return {each.id: each.state for each in report.findings}


def test_all_is_looked_at_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = MetadataSchema({"plan": Definition()})
    report = checked(monkeypatch, ReadSample([ADA], {}), schema, profiles=1000)
    assert list(states(report)) == list(TITLES)
    assert set(states(report).values()) == {"ok"}
    assert report.is_ok
    assert report.estimate is not None
    assert (report.estimate.profiles, report.estimate.is_example) == (1000, False)
    assert msgspec.json.decode(msgspec.json.encode(report), type=CheckReport) == report


def test_what_depends_on_a_service_that_does_not_answer_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    without_segment = states(checked(monkeypatch, None, MetadataSchema()))
    assert [about for about, state in without_segment.items() if state == "not done"] == list(TITLES)[3:]
    report = checked(monkeypatch, ReadSample([ADA], {}), None)
    not_done = [each for each in report.findings if each.state == "not done"]
    assert [each.id for each in not_done] == ["metadata-undefined", "metadata-types", "metadata-required"]
    assert {each.detail for each in not_done} == {"needs Voucherify"}
    assert report.estimate is not None
    assert not report.is_ok


def test_a_schema_that_the_key_may_not_read_leaves_voucherify_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    report = checked(monkeypatch, ReadSample([ADA], {}), "the key may not read it")
    assert report.is_ok
    assert states(report)["voucherify"] == "ok"
    assert [states(report)[f"metadata-{about}"] for about in ("undefined", "types", "required")] == [
        "warning",
        "not done",
        "not done",
    ]


@pytest.mark.parametrize(
    ("metadata_traits", "undefined"), [("", {"plan": 1}), ("who=name", {"plan": 1, "who": 1}), ("*", {"plan": 1})]
)
def test_the_metadata_is_that_of_an_import(
    monkeypatch: pytest.MonkeyPatch, metadata_traits: str, undefined: dict[str, int]
) -> None:
    schema = MetadataSchema({}, allow_defined_only=True)
    report = checked(monkeypatch, ReadSample([ADA], {}), schema, metadata_traits=metadata_traits)
    assert states(report)["metadata-undefined"] == "failed"
    assert report.metadata is not None
    assert report.metadata.undefined == undefined


def test_variables_that_are_nearly_settings_are_warnings_and_change_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slips = ["A is nearly B.", "C is nearly D."]
    report = checked(monkeypatch, ReadSample([ADA], {}), MetadataSchema({"plan": Definition()}), misspelt=slips)
    assert report.is_ok
    assert [each.detail for each in report.findings if each.state == "warning"] == slips
    assert [each.id for each in report.findings[:4]] == ["settings", "settings", "settings", "segment"]
    of_settings = report_of_settings([Problem("E is missing.", code="e")], slips)
    assert sum(each.id == "settings" for each in of_settings.findings) == 3


def test_what_is_not_imported_is_a_warning_and_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    report = checked(
        monkeypatch, ReadSample([ADA], {}, {"plan": 1, "vip": 1}, 2.0), MetadataSchema({"plan": Definition()})
    )
    assert [about for about, state in states(report).items() if state != "ok"] == ["not-imported"]
    assert report.is_ok
    assert report.not_imported is not None
    assert (report.not_imported.traits, report.not_imported.customers) == ({"plan": 1, "vip": 1}, 1)
    assert report.not_imported.metadata_setting == "METADATA_TRAITS=plan,vip"
    [found] = [each for each in report.findings if each.id == "not-imported"]
    assert "(2.0 instead of 1.0 calls" in found.fix


def test_its_own_calls_are_counted_and_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Calling(FakeProbe):
        def __call__(self, *_arguments: Any, **options: Any) -> FakeProbe:
            for service in ("Segment", "Segment", "Voucherify"):
                options["on_event"](CallAnswered(service, 200, 0.1))
            return self

    events: list[Event] = []
    monkeypatch.setattr(check, "ServiceProbe", Calling(ReadSample([ADA], {}), MetadataSchema()))
    report = run_virtual(run_check(settings(), on_event=events.append))
    assert report.calls == {"Segment": 2, "Voucherify": 1}
    assert len(events) == 3


def test_settings_that_are_wrong_are_all_named_and_nothing_else_is_tried() -> None:
    report = report_of_settings([Problem("A is missing.", code="a"), Problem("B=0 must be 1", code="b")])
    assert not report.is_ok
    failed = [each.detail for each in report.findings if each.state == "failed"]
    assert failed == ["A is missing. [a]", "B=0 must be 1 [b]"]
    assert sum(each.state == "not done" for each in report.findings) == len(TITLES) - 1


@pytest.mark.parametrize(
    ("code", "env_file", "fix"),
    [
        ("setting-missing", None, "in the environment or in .env; "),
        ("setting-missing", Path("prod.env"), "in the environment or in prod.env; "),
        ("env-file-unreadable", Path("prod.env"), "the name after --env-file."),
    ],
)
def test_the_way_out_names_the_file_of_settings_that_was_given(code: str, env_file: Path | None, fix: str) -> None:
    report = report_of_settings([Problem("A", code=code)], env_file=env_file)
    assert fix in report.findings[0].fix
