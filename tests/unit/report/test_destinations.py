"""Where a run writes: what could not be written is known before it begins."""

from __future__ import annotations

import builtins
import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from segsync.errors import SettingsError
from segsync.options import ImportOptions, Invocation, ReportFiles
from segsync.report.destinations import check_destinations
from segsync.report.profile_lists import DUPLICATES, REJECTED, UNKNOWN_IDS, WARNINGS, WITHOUT_IDENTIFIER
from tests.support.configured import settings

LISTS = (WITHOUT_IDENTIFIER, DUPLICATES, REJECTED, WARNINGS)


def run(folder: Path, outputs: ReportFiles | None = None, **options: Any) -> ImportOptions:
    """A run whose lists and ledger are in a folder."""
    defaults: dict[str, Any] = {
        "directory": folder,
        "ledger": folder / "segsync.db",
        "command": Invocation(["segsync"]),
    }
    quiet: dict[str, Any] = {"offset": None, "limit": None, "mode": "quiet", "verbose": False, "may_ask": False}
    return ImportOptions(settings=settings(), outputs=outputs or ReportFiles(), **{**quiet, **defaults, **options})


def problems(options: ImportOptions) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        check_destinations(options)
    return raised.value.problems


def test_what_can_be_written_is_no_problem_and_leaves_nothing(tmp_path: Path) -> None:
    check_destinations(
        run(tmp_path, ReportFiles(report=tmp_path / "report.html", summary_json=tmp_path / "summary.json"))
    )
    check_destinations(run(tmp_path, ReportFiles(summary_json=Path("-"))))
    check_destinations(run(tmp_path, ReportFiles(summary_json=Path(os.devnull))))
    check_destinations(run(tmp_path, ReportFiles()))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_named_before_the_import(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "report.html"
    assert problems(run(tmp_path, ReportFiles(report=nowhere, summary_json=tmp_path))) == (
        f"--report {nowhere} cannot be written: No such file or directory. Choose another file",
        f"--summary-json {tmp_path} cannot be written: Is a directory. Choose another file",
    )


def test_a_report_and_a_summary_cannot_be_the_same_file(tmp_path: Path) -> None:
    one = tmp_path / "one"
    assert problems(run(tmp_path, ReportFiles(report=one, summary_json=one))) == (
        f"--report and --summary-json are the same file, {one}: choose another for one of them",
    )


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without_it(name: str, *more: Any) -> Any:
        if name == "segsync.report.html.page":
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_it)
    assert problems(run(tmp_path, ReportFiles(report=tmp_path / "report.html"))) == (
        "--report needs jinja2, which is not installed. To install it: "
        f"{os.path.normpath(sys.executable)} -m pip install 'segsync[report]'",
    )
    check_destinations(run(tmp_path, ReportFiles(summary_json=tmp_path / "summary.json")))


def test_ids_without_a_page_to_name_them_are_a_mistake(tmp_path: Path) -> None:
    assert problems(run(tmp_path, ReportFiles(report_ids=3))) == ("--report-ids needs --report FILE",)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_whose_place_is_taken_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert problems(run(tmp_path)) == (
        f"The list {tmp_path / name} cannot be written: Is a directory. Rename it, or choose another folder: "
        "--directory DIR",
    )


def test_the_list_of_unknown_ids_needs_its_place_only_where_ids_are_given(tmp_path: Path) -> None:
    place = tmp_path / f"prod-{UNKNOWN_IDS}"
    place.mkdir()
    of_prod: dict[str, Any] = {"ledger": tmp_path / "prod.db"}
    check_destinations(run(tmp_path, **of_prod))
    [problem] = problems(run(tmp_path, ids=tmp_path / "ids.txt", **of_prod))
    assert problem.startswith(f"The list {place} cannot be written: Is a directory.")


def test_the_file_of_the_ids_is_kept_unless_it_is_the_list_that_is_written_anew(tmp_path: Path) -> None:
    ids = tmp_path / "ids.csv"
    ids.write_text("use_1\n", encoding="utf-8")
    others: dict[str, dict[str, Any]] = {
        "--log-file": {"log_file": ids},
        "--report": {"outputs": ReportFiles(report=ids)},
        "--output": {"output": ids, "dry_run": True},
        f"the list {REJECTED}": {"log_file": tmp_path / REJECTED},
    }
    for flag, options in others.items():
        [problem] = problems(run(tmp_path, ids=options.get("log_file", ids), **options))
        assert problem.startswith("--ids and ")
        assert flag in problem
    rejected = tmp_path / REJECTED
    rejected.write_text("segment_id\nuse_1\n", encoding="utf-8")
    check_destinations(run(tmp_path, ids=rejected))


def test_the_folder_of_the_lists_is_made_with_those_above_it_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _again in range(2):
        check_destinations(run(tmp_path, directory=folder))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(folder.iterdir()) == []


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    check_destinations(run(tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_folder_of_the_ledger_is_not_made_since_it_may_be_a_slip(tmp_path: Path) -> None:
    for ledger in ("nowhere/a.db", "file/a.db", f"{'n' * 300}/a.db"):
        (tmp_path / "file").touch()
        check_destinations(run(tmp_path, directory=None, ledger=tmp_path / ledger))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_list_beside_the_ledger_whose_place_is_taken_is_named(tmp_path: Path) -> None:
    place = tmp_path / "eu" / f"prod-{REJECTED}"
    place.mkdir(parents=True)
    [problem] = problems(run(tmp_path, directory=None, ledger=tmp_path / "eu" / "prod.db"))
    assert problem.startswith(f"The list {place} cannot be written: Is a directory.")


def test_a_folder_of_the_ledger_that_cannot_be_written_is_named_with_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("segsync.report.destinations.TemporaryFile", refused)
    assert problems(run(tmp_path, directory=None)) == (
        f"The folder {tmp_path} for the lists of profiles cannot be written: Permission denied. "
        "Choose another: --directory DIR, or another ledger: --ledger FILE",
    )


@pytest.mark.parametrize(
    ("folder", "why"),
    [("file", "A file has this name"), ("file/a", "Not a directory"), ("n" * 300, "File name too long")],
    ids=["a file", "in a file", "too long"],
)
def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path, folder: str, why: str) -> None:
    (tmp_path / "file").touch()
    [problem] = problems(run(tmp_path, directory=tmp_path / folder))
    assert problem == (
        f"The folder {tmp_path / folder} for the lists of profiles cannot be written: {why}. "
        "Choose another: --directory DIR"
    )


def test_a_dry_run_writes_no_lists(tmp_path: Path) -> None:
    (tmp_path / LISTS[0]).mkdir()
    check_destinations(run(tmp_path, dry_run=True))
    check_destinations(run(tmp_path, dry_run=True, directory=tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_no_two_files_of_a_run_are_the_same_and_least_of_all_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "segsync.db")
    for options in (
        {"outputs": ReportFiles(report=tmp_path / "segsync.db")},
        {"outputs": ReportFiles(summary_json=tmp_path / "." / "segsync.db")},
        {"log_file": tmp_path / "link"},
        {"output": tmp_path / "segsync.db", "dry_run": True},
        {"log_file": tmp_path / LISTS[2]},
        {"log_file": tmp_path / "a", "outputs": ReportFiles(summary_json=tmp_path / "a")},
    ):
        [problem] = problems(run(tmp_path, **options))
        assert "are the same file" in problem


def test_standard_output_is_for_the_customers_or_for_the_summary(tmp_path: Path) -> None:
    stdout = Path("-")
    check_destinations(run(tmp_path, dry_run=True, output=stdout))
    check_destinations(run(tmp_path, ReportFiles(summary_json=stdout), dry_run=True, output=tmp_path / "a.csv"))
    [problem] = problems(run(tmp_path, ReportFiles(summary_json=stdout), dry_run=True, output=stdout))
    assert problem == "--output - and --summary-json - exclude each other: write one of them into a file"


def test_only_what_is_for_standard_output_takes_it(tmp_path: Path) -> None:
    assert run(tmp_path, dry_run=True, output=Path("-")).use_standard_output
    assert run(tmp_path, ReportFiles(summary_json=Path("-"))).use_standard_output
    assert not run(
        tmp_path, ReportFiles(summary_json=Path("a")), dry_run=True, output=Path("b.csv")
    ).use_standard_output
    assert not run(tmp_path).use_standard_output


@pytest.mark.parametrize("flag", ["--summary-json", "--report", "--log-file"])
def test_the_files_of_settings_and_secrets_are_not_written_over(
    tmp_path: Path, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file, secret = tmp_path / "my.env", tmp_path / "token"
    secret.touch()
    env_file.write_text(f"SEGMENT_ACCESS_TOKEN_FILE={secret}")
    command = Invocation(["segsync"], {"--env-file": ["--env-file", str(env_file)]})
    for name, path in (("the settings", env_file), ("SEGMENT_ACCESS_TOKEN_FILE", secret)):
        outputs = {"--summary-json": ReportFiles(summary_json=path), "--report": ReportFiles(report=path)}
        log_file = path if flag == "--log-file" else None
        options = run(tmp_path, outputs.get(flag), command=command, log_file=log_file)
        same = f"are the same file, {path}: choose another for one of them"
        assert [each for each in problems(options) if flag in each and name in each and same in each]
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").touch()
    [problem] = problems(run(tmp_path, ReportFiles(summary_json=Path(".env"))))
    assert problem.startswith("--summary-json and the settings are the same file")


def test_the_lock_of_the_lists_needs_its_place(tmp_path: Path) -> None:
    lock = tmp_path / "segsync.db-lists-lock"
    lock.mkdir()
    [problem] = problems(run(tmp_path))
    assert problem.startswith(f"The lock {lock} cannot be written: Is a directory")


def test_devices_may_be_named_more_than_once(tmp_path: Path) -> None:
    nowhere = Path(os.devnull)
    check_destinations(run(tmp_path, ReportFiles(report=nowhere, summary_json=nowhere), log_file=nowhere))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / LISTS[1]).mkdir()
    nowhere = tmp_path / "nowhere" / "a"
    found = problems(run(tmp_path, ReportFiles(report=nowhere, summary_json=nowhere), log_file=nowhere))
    assert [problem.split(" cannot")[0].split(" are")[0] for problem in found] == [
        f"--report {nowhere}",
        f"--summary-json {nowhere}",
        "--report and --summary-json and --log-file",
        f"The list {tmp_path / LISTS[1]}",
    ]
