"""When a failed call is retried, for how long, and the error when it is given up. No wait takes time here."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from segsync.connectors.http.retry import (
    BACKOFF_MAX_SECONDS,
    BACKOFF_START_SECONDS,
    LONGEST_ANNOUNCED_WAIT_SECONDS,
    Retries,
)
from segsync.errors import RefusedError, TransientError
from segsync.events import CallRetried
from tests.conftest import run_virtual
from tests.support.scripted import Events, NoJitter


class Longest(Random):
    """The longest back-off that is allowed."""

    def uniform(self, _low: float, high: float) -> float:
        return high


class Steady(Random):
    """Always the same back-off."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def uniform(self, _low: float, _high: float) -> float:
        return self._seconds


def trouble(status: int = 503, wait: float | None = None, request_id: str | None = None) -> TransientError:
    return TransientError(
        f"Test answered {status}", service="Test", status=status, request_id=request_id, retry_after_seconds=wait
    )


class Trial:
    """One call, begun at second 0, that fails with each of `failures` in turn, the last one always, or succeeds."""

    def __init__(
        self,
        *failures: Exception | None,
        patience: float = 60.0,
        random: Random | None = None,
        answered_at: float = -math.inf,
        call_seconds: float = 0.0,
    ) -> None:
        self.events = Events()
        self.tried_at = [0.0]
        self.error: Exception | None = None
        self._failures = list(failures)
        self._call_seconds = call_seconds
        run_virtual(self._run(patience, random or NoJitter(), answered_at))

    async def _run(self, patience: float, random: Random, answered_at: float) -> None:
        clock = asyncio.get_running_loop().time
        first, *self._failures = self._failures
        assert isinstance(first, TransientError)

        async def call() -> str:
            self.tried_at.append(clock())
            await asyncio.sleep(self._call_seconds)
            failure = self._failures.pop(0) if len(self._failures) > 1 else self._failures[0]
            if failure:
                raise failure
            return "fine"

        retries = Retries(self.events.append, random)
        retries.answered_at = answered_at
        try:
            answer = await retries.again(first, call, patience)
            assert answer == "fine"
        except Exception as error:  # noqa: BLE001 - each test says which
            self.error = error

    @property
    def waits(self) -> list[float]:
        return [after - before for before, after in pairwise(self.tried_at)]

    @property
    def gave_up(self) -> TransientError:
        assert isinstance(self.error, TransientError)
        return self.error


def about(seconds: Sequence[float]) -> object:
    return pytest.approx(list(seconds), abs=0.01)


# --- how long it waits ----------------------------------------------------------------------------------------


def test_the_waits_double_up_to_half_a_minute_at_most() -> None:
    trial = Trial(*[trouble()] * 12, None, patience=10_000, random=Longest())
    doubled = [BACKOFF_START_SECONDS * 2**attempt for attempt in range(1, 6)]
    assert trial.error is None
    assert trial.waits == about([*doubled, *[BACKOFF_MAX_SECONDS] * 7])


def test_the_waits_are_spread_so_that_many_workers_do_not_come_back_at_once() -> None:
    firsts = {round(Trial(trouble(), None, random=Random(seed)).waits[0], 3) for seed in range(50)}
    assert len(firsts) > 40
    assert all(0 <= seconds <= 1.01 for seconds in firsts)


def test_an_outage_of_a_day_is_waited_out_where_there_is_patience_for_it() -> None:
    trial = Trial(trouble(), trouble(), patience=86_400, random=Longest())
    assert trial.tried_at[-1] == pytest.approx(86_400, abs=1)
    assert 2_800 < len(trial.tried_at) < 3_000
    assert "given up after 86400 s" in str(trial.gave_up)


@pytest.mark.parametrize("wait", [0.3, 5.0, 59.0])
def test_it_never_comes_back_earlier_than_it_was_asked_to(wait: float) -> None:
    assert Trial(trouble(429, wait), None).waits == about([wait])


def test_a_last_try_is_made_when_the_patience_ends() -> None:
    trial = Trial(trouble(), trouble(), patience=12, random=Steady(5))
    assert trial.tried_at == about([0, 5, 10, 12])
    assert "given up after 12 s and 4 attempts" in str(trial.gave_up)


def test_without_patience_there_is_no_second_try() -> None:
    trial = Trial(trouble(request_id="req-1"), None, patience=0)
    assert trial.tried_at == [0.0]
    assert str(trial.gave_up) == "Test answered 503; given up after 0 s and 1 attempt [request id req-1]"
    assert trial.events == []


def test_after_an_announced_wait_the_patience_begins_again() -> None:
    trial = Trial(trouble(429, 300), trouble(), trouble(), trouble(), None, patience=60, random=Steady(15))
    assert trial.error is None
    assert trial.tried_at == about([0, 300, 315, 330, 345])


def test_the_patience_after_an_announced_wait_ends_too() -> None:
    trial = Trial(trouble(429, 300), trouble(), patience=60, random=Steady(25))
    assert trial.tried_at == about([0, 300, 325, 350, 360])
    assert "given up after 360 s" in str(trial.gave_up)


def test_announced_waits_that_never_end_are_given_up() -> None:
    trial = Trial(trouble(429, 200), trouble(429, 200), patience=60)
    assert trial.tried_at == about([0, 200])
    assert trial.gave_up.retry_after_seconds == 200


def test_an_hour_that_allows_others_alone_is_waited_for_again() -> None:
    """Sixteen uploaders, and ten bulk calls an hour."""
    hours = [trouble(429, 3600)] * 3
    trial = Trial(*hours, None, patience=60, answered_at=3 * 3600.0)
    assert trial.error is None
    assert trial.waits == about([3600] * 3)


def test_a_limit_that_lets_others_through_is_waited_for_beyond_the_patience() -> None:
    """The turn before a call may take longer than that, too."""
    trial = Trial(*[trouble(429, 10)] * 4, None, patience=60, answered_at=1000.0, call_seconds=100.0)
    assert trial.error is None
    assert trial.tried_at == about([0, 10, 120, 230, 340])


def test_an_hour_that_is_asked_for_by_an_outage_is_waited_for_once() -> None:
    trial = Trial(trouble(503, 3600), trouble(503, 3600), patience=60, answered_at=3 * 3600.0)
    assert trial.tried_at == about([0, 3600])


def test_the_hour_of_a_sandbox_project_is_waited_for() -> None:
    assert Trial(trouble(429, 3600), None, patience=60).waits == about([3600])


def test_a_wait_that_no_rate_limit_explains_is_not_waited_for_and_reported() -> None:
    asked = LONGEST_ANNOUNCED_WAIT_SECONDS + 80_000
    trial = Trial(trouble(429, asked), None)
    assert trial.tried_at == [0.0]
    assert str(trial.gave_up).endswith("since it asks to wait 83,700 s")


def test_a_wait_of_absurd_length_is_reported_as_longer_than_a_number() -> None:
    trial = Trial(trouble(429, 1e300), None)
    assert str(trial.gave_up).endswith("since it asks to wait more than 1,000,000,000 s")


# --- what is retried, and which events say so ------------------------------------------------------------------


def test_only_trouble_that_may_pass_is_tried_again() -> None:
    refusal = RefusedError("Test answered 400", service="Test", status=400)
    trial = Trial(trouble(), trouble(), refusal)
    assert trial.error is refusal
    assert len(trial.tried_at) == 3


def test_a_defect_is_not_taken_for_trouble_that_may_pass() -> None:
    defect = ValueError("not what anybody expected")
    trial = Trial(trouble(), defect)
    assert trial.error is defect
    assert len(trial.tried_at) == 2


def test_each_retry_is_reported_with_its_reason_its_wait_and_how_long_it_has_been_so_far() -> None:
    trial = Trial(trouble(), trouble(500), trouble(429, 7.0), None, random=Steady(2))
    retries = [
        (event.service, event.reason, event.attempt, event.wait_seconds, event.elapsed_seconds)
        for event in trial.events.of(CallRetried)
    ]
    assert retries == [
        ("Test", "Test answered 503", 1, 2.0, pytest.approx(0, abs=0.01)),
        ("Test", "Test answered 500", 2, 2.0, pytest.approx(2, abs=0.01)),
        ("Test", "Test answered 429", 3, 7.0, pytest.approx(4, abs=0.01)),
    ]


def test_the_last_error_is_the_one_that_is_raised_with_all_that_support_asks_for() -> None:
    trial = Trial(trouble(503, request_id="req-1"), trouble(500, request_id="req-2"), patience=1, random=Steady(1))
    error = trial.gave_up
    assert (error.service, error.status, error.request_id) == ("Test", 500, "req-2")
    assert str(error) == "Test answered 500; given up after 1 s and 2 attempts [request id req-2]"
    assert error.__cause__ is None


# --- a broken call, or a broken service -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered_at", "others_succeed"),
    [(-math.inf, False), (2.0, False), (9.9, False), (10.1, True), (11.0, True)],
    ids=["never", "before it all", "before the last try but one", "after it", "between the last two"],
)
def test_others_succeed_if_they_did_so_between_the_last_two_tries(answered_at: float, others_succeed: bool) -> None:
    trial = Trial(trouble(), trouble(), patience=12, random=Steady(5), answered_at=answered_at)
    assert trial.tried_at == about([0, 5, 10, 12])
    assert trial.gave_up.others_succeed is others_succeed


def test_after_a_single_try_nothing_is_known_of_the_others() -> None:
    assert not Trial(trouble(), None, patience=0, answered_at=0.0).gave_up.others_succeed
