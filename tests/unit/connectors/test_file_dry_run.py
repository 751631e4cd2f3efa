"""The sink of a dry run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from segsync.connectors.base import Results
from segsync.connectors.file import DryRunSink, output_at, problem_with
from segsync.mapping.customer import to_customer
from segsync.models import Outcomes
from segsync.pipeline.engine.stages import Pipeline
from segsync.report.counters import Counters
from tests.conftest import run_virtual
from tests.support.memory import MemorySource


def dry_import(profiles: int, sink: DryRunSink) -> Counters:
    """What is counted where profiles from memory go into a dry run."""
    counters = Counters("0")

    async def run() -> None:
        source = MemorySource(profiles)
        pipeline = Pipeline(
            source,
            sink,
            to_customer=to_customer,
            concurrency=16,
            batch_size=100,
            on_event=counters.count,
        )
        await pipeline.run(source.pages("0", None), asyncio.Event())

    run_virtual(run())
    return counters


def test_the_pipeline_takes_it_as_any_other_sink_and_counts_every_customer(tmp_path: Path) -> None:
    path = tmp_path / "c.ndjson"
    with output_at(path) as output:
        assert output is not None
        counters = dry_import(250, DryRunSink(output))
    assert output.customers == counters.outcomes.sent == 250
    assert len(set(path.read_text(encoding="utf-8").splitlines())) == 250


def test_without_a_file_it_counts_alone() -> None:
    with output_at(None) as output:
        assert output is None
        counters = dry_import(250, DryRunSink(output))
    assert counters.outcomes == Outcomes(sent=250)


async def test_each_upsert_has_a_name_and_there_are_no_results_of_any() -> None:
    sink = DryRunSink()
    assert await sink.upsert(b"[]") != await sink.upsert(b"[]")
    assert not isinstance(sink, Results)


@pytest.mark.parametrize(("name", "problem"), [("a.csv", ""), ("a.txt", "must end in"), ("a", "must end in")])
def test_a_file_that_will_not_do_is_known_by_its_name(tmp_path: Path, name: str, problem: str) -> None:
    assert problem in (problem_with(tmp_path / name) or "")
    assert (problem_with(tmp_path / name) is None) == (problem == "")


def test_standard_output_has_each_upsert_at_once_as_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert problem_with(Path("-")) is None
    with output_at(Path("-")) as output:
        assert output is not None
        output.add(b'[{"source_id":"1"},{"source_id":"2"}]')
        assert capfdbinary.readouterr().out == b'{"source_id":"1"}\n{"source_id":"2"}\n'
        output.add(b'[{"source_id":"3"}]')
    assert capfdbinary.readouterr().out == b'{"source_id":"3"}\n'
    assert (output.customers, output.notes) == (3, [])
    assert not Path("-").exists()
