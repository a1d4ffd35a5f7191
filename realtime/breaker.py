"""Breaker: no more calls to a server that has stopped answering, so that few wait for it. Asks nothing by itself.

Closed, all pass. After `FAILURES` failures in a row it opens: nobody passes for a while, and is told so at once. Then
one passes, as a probe: its success closes the breaker, its failure opens it for as long again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from realtime import telemetry

log = structlog.get_logger()

# One may be a hiccup of a single connection; a page that pays two waits of REDIS_TIMEOUT_MS still answers within 1 s.
FAILURES = 2


class Breaker:
    """One for each server that one process asks. `failures` are the exceptions that count; others are answers.
    `refuse` makes what is raised while nobody passes."""

    def __init__(
        self,
        failures: tuple[type[Exception], ...],
        refuse: Callable[[], Exception],
        open_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures, self._refuse = failures, refuse
        self._open_seconds, self._now = open_seconds, now
        self._failed = 0
        self._probing = False
        self._until = 0.0
        # Is told when it opens.
        self.opened: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        """Whether somebody who comes now would be refused."""
        return self._failed >= FAILURES and (self._probing or self._now() < self._until)

    def hold(self) -> None:
        """Nobody passes any more."""
        self._failed, self._until = FAILURES, float("inf")

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around one call. Raises what `refuse` makes while the breaker is open."""
        if self.is_open:
            telemetry.BREAKER_REFUSED.inc()
            raise self._refuse()
        probe = self._failed >= FAILURES
        self._probing = self._probing or probe
        try:
            yield
        except self._failures as error:
            self._count(error)
            raise
        except Exception:
            self.close()
            raise
        else:
            self.close()
        finally:
            # A probe that was cancelled has shown nothing: the next one is let through.
            self._probing = self._probing and not probe

    def _count(self, error: Exception) -> None:
        self._failed += 1
        self._until = self._now() + self._open_seconds
        if self._failed == FAILURES:
            telemetry.BREAKER_OPEN.inc()
            log.warning("breaker.opened", error=type(error).__name__)
            self.opened()

    def close(self) -> None:
        """Everybody passes again: the server has answered."""
        if self._failed >= FAILURES:
            telemetry.BREAKER_OPEN.dec()
            log.info("breaker.closed")
        self._failed = 0
