"""`check`, as a user runs it: it shows what is right and wrong, exits with the right code and sends nothing."""

from __future__ import annotations

import asyncio
import subprocess

import msgspec
import pytest
from aiohttp import web

from segsync.check.run import CheckReport
from tests.conftest import StartSandbox
from tests.integration.conftest import SEGSYNC, Run, Segsync, fast, moment
from tests.support.scripted import Script, answer, scripted_server

pytestmark = pytest.mark.slow

SECRETS = dict.fromkeys(
    ("SEGMENT_ACCESS_TOKEN", "SEGMENT_SPACE_ID", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"), "s3cr3t"
)


def report_of(run: Run) -> CheckReport:
    return msgspec.json.decode(run.stdout, type=CheckReport)


def failed(report: CheckReport) -> dict[str, str]:
    return {each.id: each.fix for each in report.findings if each.state == "failed"}


def test_a_sound_setup_is_ready_and_nothing_is_sent(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(1000))
    run = segsync("check", "--profiles", "50000", sandbox=sandbox)
    assert run.code == 0, run.stdout + run.stderr
    for text in ("✓ ok", "! warning", "carry 'user_id'", "anonymous_id", "becomes the source_id", "birthdate", "Ready"):
        assert text in run.stdout
    assert "Estimate for 50,000 profiles" in run.stdout
    assert "✗" not in run.stdout
    assert {each.name for each in segsync.directory.iterdir()} == {"segsync.db", "segsync.db-lock"}
    assert moment(sandbox).accepted == 0
    assert sandbox.verdict(last=0).unexpected_count == 0
    for personal in ("example.com", "Lovelace", "Porcelanowa", "+48"):
        assert personal not in run.stdout + run.stderr


def test_the_json_has_the_same_with_a_format_number(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(1000))
    run = segsync("check", "--sample", "250", "--json", sandbox=sandbox)
    report = report_of(run)
    assert (run.code, report.format, report.is_ok) == (0, 2, True)
    assert report.sample is not None
    assert report.estimate is not None
    assert report.sample.profiles == 250
    assert report.sample.external_ids["anonymous_id"] == 250
    assert report.sample.external_ids["user_id"] == report.sample.customers
    assert 0 < report.sample.bad_birthdates < report.sample.birthdates
    assert (report.estimate.profiles, report.estimate.is_example) == (1_000_000, True)
    seen = moment(sandbox)
    assert seen.voucherify_calls == 2
    assert seen.segment_calls >= 3 + 250 + report.sample.customers, "pages, external ids of all, traits of some"
    assert report.calls == {"Segment": seen.segment_calls, "Voucherify": seen.voucherify_calls}


def test_what_is_not_imported_is_listed_with_a_line_that_takes_it(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(300))
    before = report_of(segsync("check", "--json", sandbox=sandbox)).not_imported
    assert before is not None
    assert len(before.traits) == 230
    assert before.traits["computed_trait_0"] < before.customers
    shown = segsync("check", sandbox=sandbox)
    assert (shown.code, "Not imported: 230 traits." in " ".join(shown.stdout.split())) == (0, True)
    for line, left in ((before.metadata_setting, 0), (before.all_setting, 0), (before.frequent_setting, 215)):
        assert line == before.metadata_setting or f"  {line}\n" in shown.stdout
        (segsync.directory / ".env").write_text(f"{line}\n")
        after = report_of(segsync("check", "--json", sandbox=sandbox))
        assert after.not_imported is not None
        assert len(after.not_imported.traits) == left
        [found] = [each for each in after.findings if each.id == "not-imported"]
        assert found.state == ("warning" if left else "ok")


def test_an_import_repeats_what_the_last_check_with_its_settings_found(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(150))
    assert segsync("check", "--sample", "150", sandbox=sandbox).code == 0
    status = segsync("status")
    assert (status.code, "No import has run yet" in status.stdout) == (0, True)
    run = segsync("--resume", "--limit", "100", "--summary-json", "summary.json", sandbox=sandbox)
    assert run.code == 0, run.stderr
    assert run.row("Traits not imported") == 230
    for words in ("check of 20", "computed_trait_0", "and 225 more", "METADATA_TRAITS=*"):
        assert words in " ".join(run.stdout.split())
    summary = msgspec.json.decode((segsync.directory / "summary.json").read_bytes())
    assert summary["not_imported"]["traits"] == 230
    assert len(summary["not_imported"]["names"]) == 5
    for changed in ({"METADATA_TRAITS": "computed_trait_0"}, {"ATTRIBUTE_TRAITS": "phone=computed_trait_0"}):
        other = segsync("--offset", "0", "--limit", "10", sandbox=sandbox, **changed)
        assert (other.code, "Traits not imported" in other.stdout) == (0, False)


def test_the_estimate_gives_the_calls_that_the_import_then_takes(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500))
    estimate = report_of(segsync("check", "--sample", "500", "--profiles", "500", "--json", sandbox=sandbox)).estimate
    run = segsync(sandbox=sandbox)
    assert estimate is not None
    assert run.row("Segment calls") == estimate.segment_calls
    assert run.row("Customers confirmed") == estimate.customers


@pytest.mark.parametrize(
    ("settings", "about", "fix"),
    [
        ({"SEGMENT_ACCESS_TOKEN": "wrong"}, "segment", "SEGMENT_ACCESS_TOKEN"),
        ({"SEGMENT_SPACE_ID": "wrong"}, "segment", "SEGMENT_SPACE_ID"),
        ({"VOUCHERIFY_SECRET_KEY": "wrong"}, "voucherify", "VOUCHERIFY_SECRET_KEY"),
        ({"IDENTIFIER_SAVED_AS_SOURCE_ID": "userId"}, "identifier", "Did you mean 'user_id'?"),
        ({"SEGMENT_BASE_URL": "http://127.0.0.1:1"}, "segment", "Check the network"),
        ({"VOUCHERIFY_BASE_URL": "http://127.0.0.1:1"}, "voucherify", "Check the network"),
        ({"SEGSYNC_BATCH_SIZE": "0"}, "settings", ".env"),
        ({"SEGMENT_ACCESS_TOKEN": ""}, "settings", ".env"),
    ],
)
def test_each_thing_that_is_wrong_is_a_cross_with_a_fix(
    segsync: Segsync, start_sandbox: StartSandbox, settings: dict[str, str], about: str, fix: str
) -> None:
    sandbox = start_sandbox(fast(100))
    run = segsync("check", "--json", sandbox=sandbox, **{"SEGSYNC_RETRY_SECONDS": "0.3", **settings})
    assert run.code == (2 if about == "settings" else 3)
    [(wrong, advice)] = failed(report_of(run)).items()
    assert wrong == about
    assert fix in advice
    assert list(segsync.directory.iterdir()) == []


def test_without_a_network_all_that_needs_it_is_not_done(segsync: Segsync) -> None:
    nowhere = {"SEGMENT_BASE_URL": "https://profiles.invalid", "VOUCHERIFY_BASE_URL": "https://api.invalid"}
    run = segsync("check", sandbox=None, **{**SECRETS, **nowhere, "SEGSYNC_RETRY_SECONDS": "0.3"})
    assert run.code == 3
    assert run.stdout.count("✗ failed") == 2
    assert run.stdout.count("- not done") == 10
    assert "Not ready: 2 checks failed" in run.stdout


async def _space_of_four(request: web.Request) -> web.StreamResponse:
    """Both services: profiles whose metadata is not what the schema wants."""
    fields: dict[str, object] = {
        "profiles": {"data": [{"segment_id": f"use_{n}"} for n in range(4)], "cursor": {"next": ""}},
        "external_ids": {"data": [{"type": "user_id", "id": request.path}], "cursor": {"next": ""}},
        "traits": {"traits": {"metadata": {"plan": ["pro"], "colour": "red"}}, "cursor": {"next": ""}},
        "async-actions": {"async_actions": []},
        "customer": {
            "properties": {"plan": {"type": "string"}, "tier": {"type": "string", "optional": False}},
            "allow_defined_only": True,
        },
    }
    return await answer(fields[request.path.rpartition("/")[2]])(request)


async def test_a_strict_schema_refuses_what_it_does_not_define(segsync: Segsync) -> None:
    async with scripted_server(Script(_space_of_four)) as url:
        settings = {**SECRETS, "SEGMENT_BASE_URL": url, "VOUCHERIFY_BASE_URL": url}
        run = await asyncio.to_thread(lambda: segsync("check", "--json", sandbox=None, **settings))
    report = report_of(run)
    assert run.code == 3
    assert failed(report).keys() == {"metadata-undefined", "metadata-required"}
    assert report.metadata is not None
    assert (report.metadata.undefined, report.metadata.missing) == ({"colour": 4}, {"tier": 4})
    assert [(wrong.key, wrong.customers) for wrong in report.metadata.wrong_types] == [("plan", 4)]


def test_deleted_profiles_cost_only_themselves(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    report = report_of(segsync("check", "--json", sandbox=start_sandbox(fast(300, missing=0.2))))
    assert report.is_ok
    assert report.sample is not None
    assert 0 < sum(report.sample.unreadable.values()) < 100


def test_it_can_be_read_where_only_ascii_can_be_shown(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    environment = segsync.environment(start_sandbox(fast(100)), PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    run = subprocess.run(
        [*SEGSYNC, "check"], cwd=segsync.directory, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "+ ok" in run.stdout


def test_an_env_file_that_is_not_there_is_a_cross_too(segsync: Segsync) -> None:
    run = segsync("check", "--env-file", "nowhere.env")
    assert run.code == 2
    assert "nowhere.env cannot be read" in " ".join(run.stdout.split())
