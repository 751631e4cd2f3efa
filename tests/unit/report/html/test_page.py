"""The HTML report: every ending in its words, every number in it, no script, nobody named unasked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from segsync.errors import SegsyncError, StopError
from segsync.mapping.problems import UNDEFINED
from segsync.models import NextStep, Outcomes, RejectionGroup, WarningGroup
from segsync.report.counters import ServiceCalls, Throughput
from segsync.report.html.page import MOST_WARNINGS, render
from segsync.report.import_report import ImportReport
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER, list_path
from segsync.settings import Settings

SECRETS: dict[str, Any] = {
    "segment_access_token": "token-of-segment",
    "voucherify_application_id": "id-of-the-application",
    "voucherify_secret_key": "key-of-voucherify",
}
SETTINGS = Settings(segment_space_id="spa_1", **SECRETS)
NOT_FOUND = RejectionGroup("read", "Segment answered 404", 212, ("use_of_somebody",), "not-found")
NO_DATE = WarningGroup("birthdate", "is not an ISO 8601 date", 1_200)
REPORT = ImportReport(
    state="done",
    error=None,
    outcomes=Outcomes(confirmed=4230, without_identifier=770, rejected=212),
    before=Outcomes(),
    checkpointed=Outcomes(),
    is_confirmed=True,
    offset="0",
    resume_offset=None,
    seconds=100.0,
    calls={"Segment": ServiceCalls(9_876, 54, 3), "Voucherify": ServiceCalls(87)},
    warnings={"birthdate": 1_200},
    warned_profiles=1_200,
    problems=(NO_DATE,),
    began_at="2026-03-02T21:14:00+00:00",
    ended_at="2026-03-03T00:15:00+00:00",
    throughput=Throughput(1.0, (50,) * 40 + (0,) * 20 + (50,) * 40),
    rejections=(msgspec.structs.replace(NOT_FOUND, segment_ids=()),),
)
RETRY = [NextStep("After fixing the causes, run:", "python -m segsync --retry-rejected")]


def page(
    steps: Sequence[NextStep] = RETRY,
    settings: Settings = SETTINGS,
    without_identifier: Sequence[str] = (),
    **changes: object,
) -> str:
    report = msgspec.structs.replace(REPORT, **changes)
    return render(report, settings, steps=steps, without_identifier=without_identifier)


def words(html: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(style|desc|title)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def sentences(html: str) -> str:
    return words(html).replace(" .", ".").replace(" ,", ",").replace(" :", ":")


def test_it_says_how_many_were_imported_and_what_the_others_came_to() -> None:
    text = sentences(page())
    assert "4,230 customers imported" in text
    assert "That is 81.2% of 5,212 profiles that Segment listed." in text
    assert "Profiles without an identifier: 770" in text
    assert "Rejected profiles: 212" in text
    assert "2 March 2026, 21:14 to 3 March 2026, 00:15 UTC" in text


def test_reasons_are_counted_with_what_to_do_about_them() -> None:
    text = sentences(page())
    assert "No longer in Segment 212" in text
    assert "What to do:" in page()
    assert "Segment answered 404" in text
    assert "After fixing the causes, run: python -m segsync --retry-rejected" in text
    assert "IDENTIFIER_SAVED_AS_SOURCE_ID" in text
    assert "Segment answered 404 [not-found]" in text
    assert "Warnings: 1,200 in 1,200 profiles" in text
    assert "birthdate 1,200 profiles is not an ISO 8601 date. Sent as null. Write it like 1990-12-31" in text


def test_unknown_results_are_a_section_of_their_own_with_what_to_do() -> None:
    outcomes = Outcomes(confirmed=4_000, rejected=100, unknown=30, duplicate=2)
    unknown = (RejectionGroup("confirm", "Voucherify does not know the bulk upsert … any more", 30, ("use_7",)),)
    text = sentences(page(outcomes=outcomes, unknown=unknown))
    assert "Result unknown Sent; whether they were written is unknown. 30" in text
    assert "Duplicate identifier Another profile has the same identifier; its values were sent. 2" in text
    assert "Result unknown: 30 Voucherify accepted these customers, and does not say whether it wrote them" in text
    assert "30 × Voucherify does not know the bulk upsert … any more Some ids: use_7" in text
    assert "Result unknown" not in sentences(page())


def test_a_page_with_unknown_results_does_not_say_that_all_is_well() -> None:
    html = page(outcomes=Outcomes(confirmed=4_000, unknown=30), rejections=())
    assert "Done, with unknown results" in sentences(html)


def test_it_says_how_fast_it_went_and_when_it_stood_still() -> None:
    text = sentences(page())
    assert "Time 0:01:40" in text
    assert "Profiles per second 52.1" in text
    assert "Per 100 customers 2.36 s" in text
    assert "Standing still: for 20 s, 40 s after the start" in text
    assert "Segment 9,876 54 3" in text
    assert "All profiles were read after" not in text
    assert "All profiles were read after 40 s." in sentences(page(throughput=Throughput(1.0, (50,) * 40 + (0,) * 60)))
    assert page().count("<svg") == 3  # the ring, the plot for a desk, the plot for a phone


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"outcomes": Outcomes(confirmed=10)},
            "Done 10 customers imported That is 100% of 10 profiles that",
        ),
        ({}, "Done, with rejected profiles 4,230 customers imported"),
        ({"state": "interrupted", "resume_offset": "100"}, "Interrupted 4,230 customers imported Of 5,212 profiles"),
        (
            {"state": "stopped", "error": StopError("Segment is <down>"), "resume_offset": "100"},
            "Why it stopped: Segment is <down>",
        ),
        (
            {"resume_offset": "100", "outcomes": Outcomes(confirmed=100)},
            "First part done 100 customers imported Of the first",
        ),
        (
            {"outcomes": Outcomes(without_identifier=9)},
            "Done, but with no customers No customers imported That is 0% of 9 profiles that Segment listed.",
        ),
        ({"outcomes": Outcomes(), "seconds": 0.0}, "Segment has listed no profiles."),
        ({"outcomes": Outcomes(confirmed=1)}, "1 customer imported That is 100% of 1 profile that Segment listed."),
        ({"outcomes": Outcomes(sent=5), "is_confirmed": False}, "5 customers sent That is 100%"),
        ({"outcomes": Outcomes(sent=5), "is_confirmed": False}, "Voucherify accepted 5 of these customers"),
        (
            {"state": "stopped", "outcomes": Outcomes(sent=5, pending=5)},
            "No customers imported Of 10 profiles that Segment had listed by then; there may be more. "
            "Voucherify accepted 5 more customers; whether it wrote them is not known yet.",
        ),
        ({"state": "stopped", "outcomes": Outcomes(confirmed=1, sent=5, pending=4)}, "10.0% imported"),
        ({"outcomes": Outcomes(confirmed=99_999, pending=1)}, "over 99.9% of 100,000 profiles"),
        ({"outcomes": Outcomes(confirmed=1, pending=99_999)}, "under 0.1% of 100,000 profiles"),
        ({"before": Outcomes(confirmed=1_000)}, "Done by earlier processes: 1,000 profiles."),
    ],
)
def test_every_ending_has_its_words(changes: dict[str, object], expected: str) -> None:
    assert expected in sentences(page(**changes))  # type: ignore[arg-type]


def test_the_next_steps_are_shown_in_their_order_with_their_commands() -> None:
    steps = [NextStep("To resume, run:", "segsync --resume"), NextStep("Check SEGMENT_SPACE_ID.")]
    assert "What to do next To resume, run: segsync --resume Check SEGMENT_SPACE_ID." in sentences(page(steps))
    assert "Nothing is left to do." not in sentences(page(steps))
    assert "Nothing is left to do." in sentences(page([]))


def pictures(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)]  # noqa: S314 - our own


def test_each_picture_is_described_for_those_who_do_not_see_it() -> None:
    ring, wide, narrow = pictures(page())
    for picture in (ring, wide, narrow):
        assert picture.get("role") == "img"
        labels = [each.text for each in picture if each.get("id") in str(picture.get("aria-labelledby")).split()]
        assert len(labels) == 2
        assert all(labels)
    assert ring.findtext("desc") == "imported: 4,230 (81.2%), without an identifier: 770 (14.8%), rejected: 212 (4.1%)"
    assert wide.findtext("desc") == narrow.findtext("desc") == "Up to 50 profiles per second, over 1:40 min."


def test_the_ring_has_a_part_for_each_outcome_in_its_colour() -> None:
    [ring, *_] = pictures(page())
    arcs = [*ring.iter("circle")]
    assert [arc.get("stroke") for arc in arcs] == ["var(--confirmed)", "var(--without-identifier)", "var(--rejected)"]
    assert [text.text for text in ring.iter("text")] == ["81%", "15%"], "they tell the parts apart without colours"
    assert {arc.get("pathLength") for arc in arcs} == {"5212"}
    assert [arc.get("stroke-dasharray") for arc in arcs] == ["4230 5212", "770 5212", "212 5212"]
    assert [arc.get("stroke-dashoffset") for arc in arcs] == ["-0", "-4230", "-5000"]


@pytest.mark.parametrize(
    ("outcomes", "lengths"),
    [
        (Outcomes(confirmed=423, without_identifier=77, rejected=1), ["423 501", "77 501", "1 501"]),
        (Outcomes(confirmed=5), ["5 5"]),
        (Outcomes(confirmed=3, rejected=1), ["3 4", "1 4"]),
    ],
)
def test_an_outcome_of_no_profile_has_no_part_of_the_ring(outcomes: Outcomes, lengths: list[str]) -> None:
    ring, *_ = pictures(page(outcomes=outcomes))
    assert [arc.get("stroke-dasharray") for arc in ring.iter("circle")] == lengths


def test_the_axes_of_the_plots_are_labelled_and_pauses_are_marked() -> None:
    for plot in pictures(page())[1:]:
        texts = [text.text for text in plot.iter("text")]
        assert {"Profiles read per second", "Time since the start (seconds)", "0", "50"} <= {*texts}
        assert len([*plot.iter("rect")]) == 1


def test_a_run_that_did_nothing_shows_no_speed() -> None:
    html = page(seconds=0.0, throughput=Throughput())
    assert "How fast it went" not in html
    assert html.count("<svg") == 1


def test_nobody_is_named_unless_asked() -> None:
    assert "It has no names, no ids of profiles and no secrets" in sentences(page())
    named = msgspec.structs.replace(NO_DATE, segment_ids=("use_ageless",))
    html = page(without_identifier=["use_anonymous"], problems=(named,), rejections=(NOT_FOUND,))
    for segment_id in ("use_of_somebody", "use_anonymous", "use_ageless"):
        assert segment_id not in page()
        assert segment_id in html
    assert "This page has Segment ids of profiles" in sentences(html)
    assert "no names, no ids" not in html


def test_settings_are_shown_without_secrets() -> None:
    html = page()
    for secret in SECRETS.values():
        assert secret not in html
    text = sentences(html)
    assert "SEGMENT_ACCESS_TOKEN set, not shown here" in text
    assert "SEGSYNC_NOTIFY_URL –" in text
    assert "SEGMENT_SPACE_ID spa_1" in text
    assert "SEGSYNC_CONCURRENCY auto" in text


def test_a_great_many_warnings_are_summed_up() -> None:
    problems = [WarningGroup(f"metadata.{number:04}", UNDEFINED, 2) for number in range(MOST_WARNINGS + 10)]
    text = sentences(page(warnings={each.trait: each.profiles for each in problems}, problems=tuple(problems)))
    assert f"Warnings: {2 * MOST_WARNINGS + 20}" in text
    assert "others 20 warnings" in text


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attributes)))


HOSTILE = [
    "</code><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></svg><script src=//x></script>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_services_and_settings_hold_it_is_text(text: str) -> None:
    def shown(text: str) -> str:
        return page(
            [NextStep(text, f"segsync --offset {text}"), NextStep(text)],
            Settings(segment_space_id=f"spa {text}", identifier_saved_as_source_id=f"id {text}", **SECRETS),
            without_identifier=[text],
            state="stopped",
            error=SegsyncError(text),
            resume_offset=text,
            rejections=(RejectionGroup("read", text, 3, (text,)),),
            warnings={"t": 1, f"metadata.{text}": 2},
            problems=(WarningGroup("t", text, 1, (text,)), WarningGroup(f"metadata.{text}", UNDEFINED, 2)),
            calls={text: ServiceCalls(1)},
        )

    html = shown(text)
    assert _Tags(html).found == _Tags(shown("plain")).found
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in _Tags(html).found}
    assert not [name for _, names in _Tags(html).found for name in names if name.startswith("on")]
    assert "7 * 7" in html or "{{" not in text


def test_nothing_is_loaded_from_anywhere() -> None:
    html = page()
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:script|link|img|iframe)|@import|url\(|\b(?:src|href)=", html)


def test_the_lists_are_named_by_their_paths() -> None:
    groups = (NOT_FOUND, RejectionGroup("read", "Segment did not answer", 3, (), "no-answer"))
    report = msgspec.structs.replace(REPORT, rejections=groups)
    lists = partial(list_path, directory=Path("eu"), ledger=Path("eu/prod.db"))
    named = render(report, SETTINGS, steps=RETRY, lists=lists)
    for name in (REJECTED, WITHOUT_IDENTIFIER, WARNINGS):
        assert named.count(name) == named.count(f"eu/prod-{name}") == page(rejections=groups).count(name) > 0
