"""Failures in a row open the circuit breaker; a success between them releases what it held."""

from __future__ import annotations

from segsync.pipeline.engine.circuit_breaker import CircuitBreaker


def held_by(breaker: CircuitBreaker[int], *failures: int) -> list[int]:
    for failure in failures:
        breaker.hold(failure)
    return breaker.held


def test_it_opens_at_its_threshold_and_not_before() -> None:
    breaker = CircuitBreaker[int](3)
    assert (held_by(breaker, 1, 2), breaker.is_open) == ([1, 2], False)
    assert (held_by(breaker, 3), breaker.is_open) == ([1, 2, 3], True)
    assert (held_by(breaker, 4), breaker.is_open) == ([1, 2, 3, 4], True)


def test_a_success_releases_the_failures_in_their_order_and_the_count_begins_again() -> None:
    breaker = CircuitBreaker[int](3)
    held_by(breaker, 1, 2)
    assert breaker.release() == [1, 2]
    assert (held_by(breaker, 3, 4), breaker.is_open) == ([3, 4], False)
    assert (held_by(breaker, 5), breaker.is_open) == ([3, 4, 5], True)


def test_where_nothing_failed_there_is_nothing_to_release() -> None:
    breaker = CircuitBreaker[int](1)
    assert (breaker.release(), breaker.is_open) == ([], False)


def test_without_a_threshold_it_never_opens() -> None:
    breaker = CircuitBreaker[int](None)
    assert held_by(breaker, *range(1000)) == list(range(1000))
    assert not breaker.is_open
