"""Whole runs against the sandbox: everybody arrives, exactly as they should, and the summary matches."""

from __future__ import annotations

import pytest

from segsync.sandbox.options import Faults
from tests.conftest import StartSandbox
from tests.integration.conftest import Segsync, fast

pytestmark = pytest.mark.slow


def test_the_sandbox_flag_needs_no_account_and_ends_with_counts_that_match(segsync: Segsync) -> None:
    run = segsync("--sandbox")
    assert run.code == 0, run.stderr
    assert run.row("Profiles listed") == 500
    assert run.row("Customers confirmed") + run.row("Without identifier") == 500
    assert 0 < run.row("Warnings") < 25, "a first run is not to be a list of warnings"
    assert "that matches" in run.stdout


def test_every_profile_has_an_outcome_and_every_customer_arrives_as_it_should(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1000, action_seconds=0.05))
    run = segsync(sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert run.row("Customers confirmed") == verdict.expected == verdict.accepted
    assert not run.has_row("Customers sent"), "no result is open"
    assert run.row("Without identifier") == len(set(segsync.lines("profiles-without-identifier.txt")))
    assert run.row("Profiles listed") == 1000
    assert verdict.batch_sizes[:-1] == [100] * (verdict.expected // 100)
    assert run.row("Segment calls") == 10 + 1000 + verdict.expected, (
        "one call per page, one per profile, one per customer"
    )


def test_an_offset_imports_exactly_the_profiles_from_there_on(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(1000))
    run = segsync("--offset", "400", "--concurrency", "8", sandbox=sandbox)
    assert run.code == 0
    assert run.row("Profiles listed") == 600
    assert sandbox.verdict(first=400).is_right


def test_a_limit_imports_only_the_first_profiles_and_names_the_next_offset(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1000))
    run = segsync("--limit", "250", sandbox=sandbox)
    assert run.code == 0
    assert sandbox.verdict(last=250).is_right
    assert "--offset 250" in run.stderr


def test_through_errors_cuts_and_time_outs_every_customer_arrives(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    faults = Faults(too_many=0.02, server_error=0.02, cut=0.02, hang=0.02)
    sandbox = start_sandbox(fast(1000, action_seconds=0.05, segment_faults=faults, voucherify_faults=faults))
    run = segsync(sandbox=sandbox, SEGSYNC_REQUEST_TIMEOUT="2", SEGSYNC_CONCURRENCY="64", SEGSYNC_BATCH_SIZE="20")
    assert run.code == 0, run.stderr
    assert sandbox.verdict().is_right
    assert run.row("Customers confirmed") == sandbox.verdict().expected
    assert run.row("Customers confirmed") + run.row("Without identifier") == 1000
    assert run.row("Segment calls") == sandbox.verdict().segment_calls, "no call goes past the limiter and the count"


def test_a_server_that_ignores_include_gives_the_same_customers(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500, ignore_include=True))
    run = segsync(sandbox=sandbox, SEGMENT_TRAITS_LIMIT="7")
    assert run.code == 0
    assert sandbox.verdict().is_right


def test_an_identifier_that_is_a_trait_costs_one_call_and_gives_the_same_customers(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1000, identifier="email", identifier_trait=0.9))
    run = segsync(sandbox=sandbox, IDENTIFIER_LOOKUP="traits")
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert run.row("Customers confirmed") == verdict.expected
    without_trait = 1000 - round(0.9 * verdict.expected)
    assert verdict.segment_calls == pytest.approx(10 + 1000 + without_trait, abs=40)


def test_the_latency_decides_how_many_profiles_are_read_at_a_time(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(1500, anonymous=0.0, latency_ms=200.0))
    run = segsync("--verbose", sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="500")
    assert run.code == 0
    assert sandbox.verdict().is_right
    assert "Concurrent profile reads: 64" in run.stderr


def test_a_strict_limit_is_used_and_hardly_ever_overrun(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(500, segment_requests_per_second=200, latency_ms=30.0))
    run = segsync(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="200")
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert verdict.segment_rate_limited <= 0.02 * verdict.segment_calls


def test_a_true_limit_below_the_configured_one_is_learnt(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(400, anonymous=0.0, latency_ms=20.0, segment_requests_per_second=100))
    run = segsync(sandbox=sandbox, SEGMENT_REQUESTS_PER_SECOND="400")
    verdict = sandbox.verdict()
    assert run.code == 0
    assert verdict.is_right
    assert verdict.segment_rate_limited <= 0.1 * verdict.segment_calls, "three in four, if nobody learnt from it"


def test_deleted_profiles_and_refused_customers_cost_only_themselves(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(500, missing=0.05, refused_at_once=0.01))
    run = segsync(sandbox=sandbox)
    verdict = sandbox.verdict()
    assert run.code == 3
    assert verdict.is_right
    header, *rejected = segsync.lines("rejected-profiles.csv")
    assert header == "segment_id,source_id,stage,reason,request_id"
    assert len(rejected) == run.row("Rejected") > verdict.refused > 0
    assert {row.split(",")[2] for row in rejected} == {"read", "upsert"}
    assert run.row("Customers confirmed") == verdict.expected - verdict.refused
    assert run.row("Customers confirmed") + run.row("Without identifier") + run.row("Rejected") == 500


def test_warnings_name_the_profile_and_the_trait_but_never_its_value(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(300))
    run = segsync("--verbose", sandbox=sandbox)
    rows = [line.split(",") for line in segsync.lines("profiles-with-warnings.csv")[1:]]
    assert len(rows) == run.row("Warnings") > 0
    assert {"birthdate", "address", "metadata", "name", "email"} <= {row[1] for row in rows}
    written = run.stdout + run.stderr + "".join(line for row in rows for line in row)
    for personal in ("example.com", "Lovelace", "Porcelanowa", "31/12/1990", "+48"):
        assert personal not in written


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"SEGMENT_ACCESS_TOKEN": "wrong"}, 2, "refuses SEGMENT_ACCESS_TOKEN"),
        ({"VOUCHERIFY_SECRET_KEY": "wrong"}, 2, "refuses VOUCHERIFY_APPLICATION_ID and VOUCHERIFY_SECRET_KEY"),
        ({"SEGMENT_SPACE_ID": "wrong"}, 2, "SEGMENT_SPACE_ID=wrong"),
        ({"SEGMENT_BASE_URL": "http://127.0.0.1:1"}, 1, "Is the network up, and the base URL right?"),
        ({"VOUCHERIFY_BASE_URL": "http://127.0.0.1:1"}, 1, "Voucherify at http://127.0.0.1:1 did not answer"),
        ({"SEGMENT_BASE_URL": "https://profiles.invalid"}, 1, "its host name was not found"),
        ({"SEGMENT_ACCESS_TOKEN": ""}, 2, "SEGMENT_ACCESS_TOKEN is missing"),
        ({"IDENTIFIER_SAVED_AS_SOURCE_ID": "usr_id"}, 0, "No profile has an external id of type 'usr_id'"),
    ],
)
def test_mistakes_of_a_newcomer_get_a_message(
    segsync: Segsync, start_sandbox: StartSandbox, settings: dict[str, str], code: int, message: str
) -> None:
    run = segsync(sandbox=start_sandbox(fast(200)), **{"SEGSYNC_RETRY_SECONDS": "0.5", **settings})
    assert run.code == code
    assert message in run.stderr


@pytest.mark.parametrize("offset", ["abc", "-5"])
def test_an_invalid_offset_is_a_usage_error(segsync: Segsync, start_sandbox: StartSandbox, offset: str) -> None:
    run = segsync(f"--offset={offset}", sandbox=start_sandbox(fast(100)))
    assert run.code == 2
    assert f"Is '{offset}' an offset or cursor of this space?" in run.stderr


def test_a_resume_does_not_forget_what_was_rejected_before_it(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    sandbox = start_sandbox(fast(400, missing=0.1))
    assert segsync("--limit", "200", sandbox=sandbox).code == 3
    (segsync.directory / "profiles-without-identifier.txt").unlink()
    sound = start_sandbox(fast(400))
    run = segsync("--offset", "200", sandbox=sound, VOUCHERIFY_BASE_URL=sandbox.url)
    assert run.row("Rejected") == 0
    assert run.code == 3
    assert "earlier runs rejected" in run.stderr


def test_the_files_of_a_real_import_are_safe_from_the_sandbox_and_from_a_failed_start(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    sandbox = start_sandbox(fast(200, missing=0.1))
    segsync(sandbox=sandbox)
    before = segsync.lines("rejected-profiles.csv")
    assert segsync(sandbox=sandbox, SEGMENT_ACCESS_TOKEN="wrong").code == 2
    for _ in range(2):  # each is a sandbox of its own
        run = segsync("--sandbox", "--limit", "20")
        assert (run.code, run.row("Profiles listed")) == (0, 20), run.stderr
    assert segsync.lines("rejected-profiles.csv") == before
    assert segsync.lines("segsync-sandbox/profiles-without-identifier.txt")


def test_a_file_where_the_sandbox_wants_its_folder_is_named(segsync: Segsync) -> None:
    (segsync.directory / "segsync-sandbox").touch()
    run = segsync("--sandbox")
    assert run.code == 2
    assert "The folder segsync-sandbox of --sandbox cannot be made: A file has this name" in run.stderr


def test_an_offset_typed_as_for_the_node_script_gets_a_hint(segsync: Segsync) -> None:
    run = segsync("400")
    assert run.code == 2
    assert "--offset 400" in run.stderr


def test_an_empty_space_is_done_at_once(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    run = segsync(sandbox=start_sandbox(fast(0)))
    assert run.code == 0
    assert "Segment lists no profiles in space spa_sandbox" in run.stderr


def test_a_space_of_anonymous_profiles_is_done_and_lists_them(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    run = segsync(sandbox=start_sandbox(fast(300, anonymous=1.0)))
    assert run.code == 0
    assert len(segsync.lines("profiles-without-identifier.txt")) == 300
    assert "No profile has an external id of type 'user_id'" in run.stderr


async def test_a_server_that_answers_html_is_reported_as_the_wrong_one(segsync: Segsync) -> None:
    import asyncio

    from tests.support.scripted import Script, raw, scripted_server

    async with scripted_server(Script(raw(b"<html>Welcome</html>", "text/html"))) as url:
        connection = {"SEGMENT_BASE_URL": url, "VOUCHERIFY_BASE_URL": url}
        secrets = dict.fromkeys(
            ("SEGMENT_ACCESS_TOKEN", "SEGMENT_SPACE_ID", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY"), "x"
        )
        run = await asyncio.to_thread(lambda: segsync(sandbox=None, **connection, **secrets))
    assert run.code == 1
    assert "text/html instead of JSON. Is the base URL right?" in run.stderr


def test_a_directory_that_cannot_be_written_is_known_before_anything_is_sent(
    segsync: Segsync, start_sandbox: StartSandbox
) -> None:
    (segsync.directory / "rejected-profiles.csv").mkdir()
    sandbox = start_sandbox(fast(100))
    run = segsync(sandbox=sandbox)
    assert run.code == 2
    assert "rejected-profiles.csv cannot be written" in run.stderr
    assert sandbox.verdict().segment_calls == 0


def test_a_folder_in_the_place_of_the_ledger_of_the_sandbox_is_named(segsync: Segsync) -> None:
    folder = segsync.directory / "segsync-sandbox" / "segsync.db"
    folder.mkdir(parents=True)
    run = segsync("--sandbox")
    assert (run.code, folder.is_dir()) == (2, True)
    assert "The ledger segsync-sandbox/segsync.db cannot be written: Is a directory" in run.stderr
