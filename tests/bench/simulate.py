"""Simulates a cell of Perch in trouble, looks for the best threshold of top users, and reckons what it takes for more
people than fit on this machine.

    python -m tests.bench.simulate [--seed 1]     # make simulate: writes docs/simulation.json, its plots and the page

Costs come from the figures that were measured (tests/bench/costs.py); what is assumed stands in `ASSUMED`. The same
seed and the same figures give the same numbers. `--page` makes page and plots again from the kept numbers.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tests.bench import capacity_page, costs
from tests.bench.capacity import ASSUMED, knee, reckon
from tests.bench.report import rounded
from tests.bench.simulation import Cell, Seen, Shape, percentile

SECONDS = 180
TROUBLE_AT = 60
LOADS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
WINDOWS = (1, 5, 10, 30)
FLUSHED, LOST_SOCKETS = 1000, 5000
Json = dict[str, Any]
Trouble = Callable[[Cell], None]


# ---------------------------------------------------------------- troubles


def burst(cell: Cell) -> None:
    """Five times as much is written for half a minute, and an author with 4,999 followers tweets a hundred times."""
    cell.burst = 5.0
    cell.clock.after(30, lambda: setattr(cell, "burst", 1.0))
    for _ in range(100):
        cell.tweet(4999)


def outage(cell: Cell) -> None:
    """No worker for a minute."""
    for worker in cell.workers:
        worker.stop()
        cell.clock.after(60, worker.go_on)


def flush(cell: Cell) -> None:
    """Redis is empty: every timeline is cold once, and a thousand open subscriptions are told within a sweep."""
    cell.cold = cell.readers
    for _ in range(FLUSHED):
        done = cell.read_done(cell.clock.now)
        cell.clock.after(cell.rng.uniform(0, 2), partial(cell.page, True, done))


def storm(window: float) -> Trouble:
    """A server is gone, and its sockets come back to the others within so many seconds."""

    def begin(cell: Cell) -> None:
        cell.servers.servers -= 1
        for _ in range(LOST_SOCKETS):
            come = cell.rng.uniform(0, window)
            cell.clock.after(come, lambda: cell.servers.serve(cell.costs["reconnect: server"], lambda: None))

    return begin


TROUBLES: dict[str, Trouble] = {
    "none": lambda _: None,
    "burst": burst,
    "outage": outage,
    "flush": flush,
    "storm": storm(10),
}


# ---------------------------------------------------------------- runs


def run(shape: Shape, used: Mapping[str, float], seed: int, trouble: Trouble, seconds: int = SECONDS) -> Cell:
    """A cell that met with a trouble."""
    cell = Cell(shape, used, seed)
    cell.clock.after(TROUBLE_AT, lambda: trouble(cell))
    cell.run(seconds)
    return cell


def told(seen: Seen) -> Json:
    """What a run comes to, from the trouble on."""
    reads = [(took, 1) for began, took in seen.reads if began >= TROUBLE_AT]
    visible = [(took, readers) for began, took, readers in seen.visible if began >= TROUBLE_AT]
    behind = [second.at for second in seen.seconds if second.oldest > 1 or second.servers_waiting > 100]
    return {
        "read_p50_ms": 1000 * percentile(reads, 0.5),
        "read_p99_ms": 1000 * percentile(reads, 0.99),
        "visible_p50_s": percentile(visible, 0.5),
        "visible_p99_s": percentile(visible, 0.99),
        "oldest_s": max(second.oldest for second in seen.seconds),
        "waiting": max(second.waiting for second in seen.seconds),
        "servers_waiting": max(second.servers_waiting for second in seen.seconds),
        "over_after_s": max([0, *(at - TROUBLE_AT for at in behind)]),
    }


def simulated(used: Mapping[str, float], seed: int) -> Json:
    """All runs."""
    runs, shape = {}, Shape()
    for name, trouble in TROUBLES.items():
        cell = run(shape, used, seed, trouble)
        seconds = [(second.oldest, second.servers_waiting) for second in cell.seen.seconds]
        runs[name] = {**told(cell.seen), "lag": [a for a, _ in seconds], "queue": [b for _, b in seconds]}
    loads = [
        {"load": load, **told(run(replace(shape, load=load), used, seed, TROUBLES["none"], 120).seen)} for load in LOADS
    ]
    storms = [{"window": window, **told(run(shape, used, seed, storm(window), 120).seen)} for window in WINDOWS]
    cell = Cell(shape, used, seed)
    size = {"reads": cell.read_rate, "writes": cell.write_rate, "readers": cell.readers, "servers": shape.servers}
    return {"size": size, "runs": runs, "loads": loads, "storms": storms}


def everything(seed: int) -> Json:
    """What docs/simulation.json holds."""
    found = costs.measured()
    used = {name: cost.value for name, cost in found.items()}
    return {
        "seed": seed,
        "costs": {name: {"value": cost.value, "source": cost.source} for name, cost in found.items()},
        "assumed": ASSUMED,
        **simulated(used, seed),
        "timelines": [{"cap": cap, "bytes": size} for cap, size in costs.timeline_bytes().items()],
        "knee": knee(used),
        "reckoned": reckon(used),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="simulate nothing; make page and plots again")
    args = parser.parse_args()
    if not args.page:
        capacity_page.KEPT.write_text(json.dumps(rounded(everything(args.seed)), indent=1, ensure_ascii=False) + "\n")
    capacity_page.make()
