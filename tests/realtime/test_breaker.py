"""The breaker: two failures open it, one probe at a time finds out, and an answer closes it."""

from dataclasses import dataclass, field

import pytest

from realtime.breaker import FAILURES, Breaker


class AwayError(Exception):
    """What counts as a failure."""


class RefusedError(Exception):
    """What one gets who may not pass."""


@dataclass
class Clock:
    """Time as the test says."""

    seconds: float = 100
    breaker: Breaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = Breaker((AwayError,), RefusedError, 1, lambda: self.seconds)

    def call(self, outcome: Exception | None = None) -> None:
        with self.breaker.passing():
            if outcome:
                raise outcome

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(AwayError):
                self.call(AwayError())


def test_one_failure_is_no_reason_and_two_in_a_row_are() -> None:
    clock = Clock()
    clock.fail()
    clock.call()
    clock.fail(FAILURES)
    with pytest.raises(RefusedError):
        clock.call()


def test_an_answer_that_is_an_error_is_an_answer() -> None:
    clock = Clock()
    clock.fail()
    with pytest.raises(ValueError, match="wrong"):
        clock.call(ValueError("wrong"))
    clock.fail()
    clock.call()


def test_after_a_while_one_probe_passes_and_the_others_wait_for_it() -> None:
    clock = Clock()
    clock.fail(FAILURES)
    clock.seconds += 1
    with clock.breaker.passing(), pytest.raises(RefusedError):
        clock.call()
    clock.call()


def test_a_probe_that_fails_opens_it_for_as_long_again() -> None:
    clock = Clock()
    clock.fail(FAILURES)
    clock.seconds += 1
    clock.fail()
    clock.seconds += 0.9
    with pytest.raises(RefusedError):
        clock.call()
    clock.seconds += 0.1
    clock.call()
    clock.call()


def test_a_probe_that_is_cancelled_lets_the_next_one_through() -> None:
    clock = Clock()
    clock.fail(FAILURES)
    clock.seconds += 1
    with pytest.raises(KeyboardInterrupt), clock.breaker.passing():
        raise KeyboardInterrupt
    clock.call()
    assert not clock.breaker.is_open
