"""Load: how many requests this process has in hand, and what it refuses first as they become more. Queues nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from datastore.mongo import within
from realtime import telemetry


class Burden(Enum):
    """What may be refused, in this order, and above which share of the requests at once. Writes are held by the bound
    of all requests alone: a tweet is accepted as long as anything is."""

    LIVE_COUNTS = 0.5
    SEARCH = 0.65
    REBUILD = 0.8
    READ = 1.0


# The requests that are taken at all, as a multiple of those at which reads are refused.
ALL = 2


class Load:
    """The requests of one process. `at_once` is where reads begin to be refused, `seconds` what a request may take."""

    def __init__(self, at_once: int, seconds: float) -> None:
        self._at_once, self._seconds = at_once, seconds
        self._in_hand = 0

    @property
    def full(self) -> bool:
        """Whether one more request is too many, whatever it asks."""
        return self._in_hand >= ALL * self._at_once

    def turn_away(self) -> None:
        """Count a request that was one too many."""
        telemetry.SHED.labels("request").inc()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around one request: counts it and sets its deadline."""
        self._in_hand += 1
        telemetry.REQUESTS_IN_HAND.set(self._in_hand)
        try:
            with within(self._seconds):
                yield
        finally:
            self._in_hand -= 1
            telemetry.REQUESTS_IN_HAND.set(self._in_hand)

    def spares(self, burden: Burden) -> bool:
        """Whether there is room for this now. One that is refused is counted."""
        spared = self._in_hand <= burden.value * self._at_once
        if not spared:
            telemetry.SHED.labels(burden.name.lower()).inc()
        return spared
