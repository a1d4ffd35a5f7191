"""Deadlines: when the request of this task must have been answered. Standard library only; ends nothing by itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_DUE: ContextVar[float] = ContextVar("due", default=float("inf"))


@contextmanager
def due_in(seconds: float) -> Iterator[None]:
    """What runs within, and the tasks that it starts, is to be done in so many seconds; an earlier deadline stays."""
    token = _DUE.set(min(_DUE.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _DUE.reset(token)


def left_seconds() -> float:
    """How long this task still has; infinite without a deadline, negative once it has passed."""
    return _DUE.get() - time.monotonic()
