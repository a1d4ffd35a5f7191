"""`python -m tests.model`: many schedules in several processes, each with servers of its own, until one fails.

python -m tests.model [--schedules 20000] [--seed N] [--jobs N]
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.model.ground import ground
from tests.model.schedules import play, shrunk

TELL_EVERY = 500


def part(seeds: Sequence[int], results: Any) -> None:
    """Play these seeds and hand over what failed, shrunk, or None, for each."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        servers = ground(Path(folder))
        found = runner.run(servers.__aenter__())
        try:
            for seed in seeds:
                outcome = play(found, seed)
                results.put(shrunk(found, outcome).told() if outcome.failure else None)
        finally:
            runner.run(servers.__aexit__(None, None, None))


def main(schedules: int, seed: int, jobs: int) -> int:
    """How many of the schedules failed."""
    print(f"model: {schedules} schedules from seed {seed} in {jobs} processes", flush=True)
    fresh = multiprocessing.get_context("spawn")
    results: Any = fresh.Queue()
    seeds = range(seed, seed + schedules)
    parts = [fresh.Process(target=part, args=(seeds[job::jobs], results), daemon=True) for job in range(jobs)]
    for one in parts:
        one.start()
    start, failures = time.monotonic(), 0
    for done in range(1, schedules + 1):
        if told := results.get():
            failures += 1
            print(told, flush=True)
        if done % TELL_EVERY == 0 or done == schedules:
            rate = done / (time.monotonic() - start)
            print(f"model: {done} schedules, {rate:.1f} a second, {failures} failed", flush=True)
    for one in parts:
        one.join()
    return failures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--schedules", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="the first; random unless given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    first = given.seed if given.seed is not None else secrets.randbelow(1_000_000_000)
    sys.exit(bool(main(given.schedules, first, min(given.jobs, given.schedules))))
