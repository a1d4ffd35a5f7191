"""Many: schedules in several processes, each with servers of its own. Knows nothing of what a schedule is.

Not in `__main__`: a spawned process imports what it is to run by its name, and a package's `__main__` has none.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from tests.model.ground import ground
from tests.model.schedules import play, shrunk
from tests.model.world import Ground

TELL_EVERY = 500
# A process that has been silent for so long may be dead.
LOOK_SECONDS = 5.0


@contextmanager
def own_ground() -> Iterator[Ground]:
    """Servers for this process, in a folder that goes with them."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        servers = ground(Path(folder))
        found = runner.run(servers.__aenter__())
        try:
            yield found
        finally:
            runner.run(servers.__aexit__(None, None, None))


def part(seeds: Sequence[int], results: Any) -> None:
    """Play these seeds and hand over what failed, shrunk, or None, for each."""
    with own_ground() as found:
        for seed in seeds:
            outcome = play(found, seed)
            results.put(shrunk(found, outcome).told() if outcome.failure else None)


def play_many(schedules: int, seed: int, jobs: int) -> int:
    """How many of the schedules from this seed on failed; each failure is printed. Raises RuntimeError when one of the
    processes died."""
    print(f"model: {schedules} schedules from seed {seed}, processes: {jobs}", flush=True)
    fresh = multiprocessing.get_context("spawn")
    results: Any = fresh.Queue()
    seeds = range(seed, seed + schedules)
    parts = [fresh.Process(target=part, args=(seeds[job::jobs], results), daemon=True) for job in range(jobs)]
    for one in parts:
        one.start()
    start, failures = time.monotonic(), 0
    for done in range(1, schedules + 1):
        if told := _next(results, parts):
            failures += 1
            print(told, flush=True)
        if done % TELL_EVERY == 0 or done == schedules:
            rate = done / (time.monotonic() - start)
            print(f"model: {done} schedules, {rate:.1f} a second, {failures} failed", flush=True)
    for one in parts:
        one.join()
    return failures


def _next(results: Any, parts: Sequence[Any]) -> str | None:
    while True:
        dead = any(one.exitcode for one in parts)
        try:
            told: str | None = results.get(timeout=LOOK_SECONDS)
            return told
        except Empty:
            if dead:
                raise RuntimeError("a process of the model has died") from None
