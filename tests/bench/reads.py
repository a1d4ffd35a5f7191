"""Bench: requests to Perch beside other servers that answer the same from the same MongoDB and Redis.

    python -m tests.bench.reads [--only homeTimeline,mix] [--rounds 4] [--seconds 2] [--fresh] [--write]
                                [--peers perch,perch-pymongo,floor,yoga,apollo,mercurius,rooms]

The servers are processes of their own and take turns, A B C A B C, at concurrency 1 and 32; before any timing their
answers are compared. Prints the medians over the rounds. The world is kept in .data/bench until something was written
to it; --fresh plants it again. --write puts the figures into docs/bench.json and the documents made from it.
"""

import argparse
import itertools
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields

from tests.bench import peers, report
from tests.bench.load import Sample, measure
from tests.bench.machine import run
from tests.bench.peers import Field, Server
from tests.bench.workloads import WORKLOADS, Workload
from tests.bench.world import Size
from tests.processes import ROOT

KEPT = ROOT / ".data" / "bench"
CONNECTIONS = (1, 32)
# A just-in-time compiler wants to see its code for a while.
WARM_SECONDS = 3.0
# By workload, server and connections.
Figures = dict[tuple[str, str, int], Sample]


async def main(names: Sequence[str], chosen: Sequence[str], rounds: int, seconds: float, fresh: bool) -> Figures:
    """The figures. The world goes if anything was written to it."""
    if fresh:
        shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    figures: Figures = {}
    try:
        async with peers.running(names, KEPT, Size()) as field:
            for name in chosen:
                figures |= await bench(field, name, rounds, seconds)
    finally:
        spent(chosen)
    return figures


def spent(chosen: Sequence[str]) -> None:
    """Throw the kept world away if one of the workloads has written to it."""
    if any(WORKLOADS[name].writes for name in chosen):
        shutil.rmtree(KEPT, ignore_errors=True)


def taking_part(workload: str) -> set[str]:
    """The servers that know it."""
    return {*peers.EVERY, *(["rooms"] if workload == "homeTimeline" else [])}


async def bench(field: Field, name: str, rounds: int, seconds: float, warm: float = WARM_SECONDS) -> Figures:
    """One workload, by all servers that know it."""
    workload, samples = WORKLOADS[name], dict[tuple[str, str, int], list[Sample]]()
    servers = [one for one in field.servers if one.name in taking_part(name)]
    await peers.compare(servers, workload, field.world)
    seeds = itertools.count()
    for server in servers:
        await _turn(field, server, workload, next(seeds), 8, warm)
    for _ in range(rounds):
        for connections in CONNECTIONS:
            seed = next(seeds)
            for server in servers:
                # Reads are the same for all; what is written twice would cost the second one less.
                seed = next(seeds) if workload.writes else seed
                sample = await _turn(field, server, workload, seed, connections, seconds)
                samples.setdefault((name, server.name, connections), []).append(sample)
    figures = {key: median(found) for key, found in samples.items()}
    show(name, figures)
    return figures


async def _turn(
    field: Field, server: Server, workload: Workload, seed: int, connections: int, seconds: float
) -> Sample:
    requests = server.requests(workload, field.world, seed)
    sample = await measure(server.url, server.pid, requests, connections, seconds)
    if workload.writes:
        await field.settle()
    return sample


def write(figures: Figures, rounds: int, seconds: float) -> None:
    """Into the documents."""
    rows = [
        {"workload": name, "what": WORKLOADS[name].what, "server": server, "connections": connections} | asdict(sample)
        for (name, server, connections), sample in figures.items()
    ]
    report.keep("requests", {"rounds": rounds, "seconds": seconds, "rows": rows})


def median(samples: Sequence[Sample]) -> Sample:
    """Field by field."""
    middle = [statistics.median(column) for column in zip(*map(astuple, samples), strict=True)]
    return Sample(**{field.name: value for field, value in zip(fields(Sample), middle, strict=True)})


def show(name: str, figures: Figures) -> None:
    """One workload as lines."""
    print(f"{name:16} conns   CPU ms  answers/s   p50 ms   p99 ms   RSS MB  client CPU ms")
    for (_, server, connections), one in sorted(figures.items(), key=lambda item: item[0][2]):
        print(
            f"  {server:14} {connections:5} {one.cpu_ms:8.3f} {one.per_second:10.0f} {one.p50_ms:8.2f}"
            f" {one.p99_ms:8.2f} {one.rss_mb:8.0f} {one.client_cpu_ms:14.3f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--peers", default=",".join(peers.EVERY))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found = run(main(given.peers.split(","), given.only.split(","), given.rounds, given.seconds, given.fresh))
    if given.write:
        write(found, given.rounds, given.seconds)
