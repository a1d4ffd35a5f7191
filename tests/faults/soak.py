"""Soak: a population lives while misfortunes fall at random, and every so often all that anybody sees is compared with
what the model says. `python -m tests.faults.soak --minutes 10 --seed 1`; exit code 1 if anything ever differed."""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from datastore.mongo import PyMongoError
from realtime.connect import RedisError
from tests.faults import box as boxes
from tests.faults.misfortunes import MISFORTUNES
from tests.faults.population import Population
from tests.faults.verdicts import counted, judged
from tests.faults.watchers import Watcher
from tests.processes import ROOT

PEOPLE, WATCHERS = 16, 6
# From one comparison to the next, and from one misfortune to the next at most.
ROUND_SECONDS, PAUSE_SECONDS = 45.0, 7.0
# More than anybody reads.
ALL = 1_000_000


async def misfortunes(population: Population, random: Random, seconds: float) -> None:
    """One after the other; whatever one broke is whole before the next falls."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(1, PAUSE_SECONDS))
        misfortune = random.choice(MISFORTUNES)
        population.note(f"MISFORTUNE {misfortune.__name__}")
        population.figures.faults[misfortune.__name__] += 1
        with suppress(PyMongoError, RedisError):
            await misfortune(population.box, random)
        await asyncio.sleep(random.uniform(0, 3))
        await population.box.repair()
        population.note("repaired")


async def soak(folder: Path, minutes: float, seed: int) -> int:
    """How many differences were found."""
    random, differences = Random(seed), 0
    async with boxes.box(folder) as box:
        population = Population(box, await box.perch.persons(PEOPLE), seed)
        await population.begin()
        watchers = [Watcher(population, person) for person in population.people[:WATCHERS]]
        tasks = [asyncio.create_task(population.live(number)) for number in range(PEOPLE)]
        tasks += [asyncio.create_task(watcher.watch()) for watcher in watchers]
        until = time.monotonic() + 60 * minutes
        try:
            while time.monotonic() < until and not any(task.done() for task in tasks):
                population.may_act.set()
                await misfortunes(population, random, min(ROUND_SECONDS, until - time.monotonic()))
                found = await judged(population, watchers)
                differences += len(found)
                tell(population, found)
            if not any(task.done() for task in tasks):
                found = await judged(population, [], ALL) + await counted(population)
                differences += len(found)
                tell(population, found)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [one for one in ended if isinstance(one, Exception)]
        for one in broken:
            print(f"soak: {one!r}")
        summary(population, seed, minutes)
        return differences + len(broken) + len(box.died)


def tell(population: Population, found: list[str]) -> None:
    """One line for each round; the log of acts where something differs."""
    figures = population.figures
    print(f"soak: {sum(figures.acts.values()):,} acts, {figures.faults.total()} misfortunes, {len(found)} differences")
    if found:
        print(*found, "the last acts:", *population.log, sep="\n")
    sys.stdout.flush()


def summary(population: Population, seed: int, minutes: float) -> None:
    """What goes into docs/operations.md."""
    figures, acts = population.figures, population.figures.acts
    print(f"soak: seed {seed}, {minutes:g} minutes, commit {commit()}")
    print(f"operations {acts.total():,}, asked again {figures.retried:,}")
    print(f"acked {acts['write']:,} writes and {acts['read']:,} pages")
    print(f"faults {figures.faults.total()}: {dict(figures.faults)}")
    print(
        f"lost {figures.lost}, duplicated {figures.doubled}, ended without being told: {population.box.died or 'none'}"
    )
    print(f"resyncs {figures.resyncs}, reconnects {figures.reconnects}")
    print(f"screens that agreed after a round without a page: {figures.unaided}")
    for kind, seconds in figures.seconds.items():
        ordered = sorted(seconds)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("slowest", 1)):
            at = min(int(len(ordered) * share), len(ordered) - 1)
            print(f"{kind} {name} " + (f"{ordered[at] * 1000:.0f} ms" if ordered else "none"))


def commit() -> str:
    """Of what ran, so that figures can be traced."""
    asked = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  our own
    return told.stdout.strip() or "unknown"


def main() -> int:
    """The exit code."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="perch-soak-"))
    if asyncio.run(soak(folder, given.minutes, given.seed)):
        print(f"the servers' logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
