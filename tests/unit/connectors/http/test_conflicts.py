"""Refusals that may be of this moment: a conflict, something that is locked, a connection closed in between."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from segsync.connectors.http.retry import LONGEST_CONFLICT_SECONDS, Retries
from segsync.errors import RefusedError, TransientError
from segsync.events import CallRetried
from tests.conftest import run_virtual
from tests.support.scripted import ANYTHING, Events, Script, SilentSession, answer, client_to

FINE = answer({"fine": True})
DUPLICATE = {"code": 409, "key": "duplicate_found", "message": "Duplicate found", "details": "ada@example.com is there"}


class Steady(Random):
    """Back-off of a second."""

    def uniform(self, _low: float, _high: float) -> float:
        return 1.0


def trouble(status: int, wait: float | None = None) -> TransientError:
    return TransientError(f"answered {status}", service="Test", status=status, retry_after_seconds=wait)


def tried_at(*failures: TransientError | None, patience: float = 300.0) -> tuple[list[float], Exception | None]:
    """When a call is tried that fails so, the last failure always, and what is raised in the end."""
    times = [0.0]
    left = list(failures[1:])

    async def call() -> None:
        times.append(round(asyncio.get_running_loop().time(), 2))
        failure = left.pop(0) if len(left) > 1 else left[0]
        if failure:
            raise failure

    async def run() -> Exception | None:
        assert failures[0]
        try:
            await Retries(lambda _event: None, Steady()).again(failures[0], call, patience)
        except (RefusedError, TransientError) as error:
            return error
        return None

    return times, run_virtual(run())


def test_a_conflict_that_lasts_is_a_refusal_after_some_seconds() -> None:
    times, error = tried_at(trouble(409), trouble(409))
    assert isinstance(error, RefusedError)
    assert error.status == 409
    assert len(times) == LONGEST_CONFLICT_SECONDS + 1
    assert times[-1] == pytest.approx(LONGEST_CONFLICT_SECONDS, abs=0.1)


def test_with_less_patience_a_conflict_is_tried_again_once_at_least() -> None:
    times, error = tried_at(trouble(409), trouble(409), patience=6.0)
    assert isinstance(error, RefusedError)
    assert times == [0.0, pytest.approx(0.2, abs=0.01)]


def test_without_patience_a_conflict_is_refused_at_once() -> None:
    times, error = tried_at(trouble(409), None, patience=0.0)
    assert (times, type(error)) == ([0.0], RefusedError)


def test_a_conflict_after_other_trouble_has_its_own_time() -> None:
    times, error = tried_at(*[trouble(503)] * 20, *[trouble(409)] * 5, None)
    assert error is None
    assert times[-1] == pytest.approx(25, abs=0.1)


def test_other_trouble_after_a_conflict_has_all_of_the_patience() -> None:
    times, error = tried_at(trouble(409), trouble(503))
    assert isinstance(error, TransientError)
    assert times[-1] == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("status", [423, 499])
def test_what_is_locked_is_tried_for_all_of_the_patience(status: int) -> None:
    times, error = tried_at(trouble(status), trouble(status))
    assert isinstance(error, TransientError)
    assert times[-1] == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("status", [409, 423, 499])
async def test_a_refusal_that_passes_is_tried_again(status: int) -> None:
    events = Events()
    async with client_to(Script(answer({}, status), answer({}, status), FINE), on_event=events.append) as client:
        assert await client.call("POST", "/v1/thing", ANYTHING, b"[]") == {"fine": True}
    assert len(events.of(CallRetried)) == 2


@pytest.mark.parametrize(("status", "kind"), [(409, RefusedError), (423, TransientError), (499, TransientError)])
async def test_one_that_lasts_is_reported_in_the_words_of_the_service_without_what_is_personal(
    status: int, kind: type[RefusedError | TransientError]
) -> None:
    async with client_to(Script(answer({**DUPLICATE, "code": status}, status)), retry_seconds=0.05) as client:
        with pytest.raises(kind, match=rf"answered {status} \(duplicate_found\).*Duplicate found") as caught:
            await client.call("POST", "/v1/thing", ANYTHING, b"[]")
    assert caught.value.status == status
    assert "ada@" not in str(caught.value)


def test_a_share_of_the_patience_shortens_the_retries() -> None:
    async def run(patience: float) -> float:
        session = SilentSession()
        session.answer = lambda _path: (503, {})
        with pytest.raises(TransientError):
            await session.client(100, random=Steady()).call("POST", "/v1", ANYTHING, patience=patience)
        return asyncio.get_running_loop().time()

    assert run_virtual(run(1.0)) == pytest.approx(100, abs=0.5)
    assert run_virtual(run(0.25)) == pytest.approx(25, abs=0.5)
