"""Flame graphs: where a server process spends its time, one graph for each workload. Changes nothing in it.

    python -m tests.bench.flames [--only homeTimeline,mix] [--seconds 10]

py-spy looks at the process from outside, 250 times a second, while a client keeps eight connections busy. Writes
.data/flames/WORKLOAD.svg, and prints which part of the program the samples lay in: the innermost one of those named.
"""

import argparse
import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench import peers
from tests.bench.load import measure
from tests.bench.machine import run
from tests.bench.peers import Field, Server
from tests.bench.reads import KEPT, spent
from tests.bench.workloads import WORKLOADS, Workload
from tests.bench.world import Size, World
from tests.processes import ROOT

DRAWN = ROOT / ".data" / "flames"
CONNECTIONS, SAMPLES_A_SECOND = 8, 250
# Looked for in a frame's path from the left of this table; a sample lies where the innermost frame that fits does.
PARTS = {
    "drivers": ("motor/", "pymongo/", "bson/", "redis/"),
    "GraphQL": ("graphql/", "strawberry/", "aiodataloader"),
    "schema": ("schema/",),
    "resolvers": ("resolvers/",),
    "realtime": ("realtime/",),
    "datastore": ("datastore/",),
    "HTTP": ("uvicorn/", "starlette/", "cross_web", "h11", "httptools"),
}
# No part's own: the event loop with its sockets, threads and their queues.
LOOP = "loop"


async def sampled(server: Server, seconds: float, form: str, path: Path) -> None:
    """What py-spy sees of the process for so long, in a file."""
    command = [shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy", "record", "--pid"]
    command += [f"{server.pid}", "--duration", f"{seconds:.0f}", "--rate", f"{SAMPLES_A_SECOND}", "--format", form]
    process = await asyncio.create_subprocess_exec(*command, "--output", str(path), stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise SystemExit("bench: py-spy may not look at the server; root may, and so may anybody where ptrace is open")


async def under_load(server: Server, workload: Workload, world: World, seconds: float, form: str, path: Path) -> None:
    """The same while the server is busy with a workload."""
    requests = server.requests(workload, world, seed=len(form))
    # A recording takes a moment to begin and to end.
    busy = asyncio.create_task(measure(server.url, server.pid, requests, CONNECTIONS, seconds + 1))
    await sampled(server, seconds, form, path)
    await busy


def part_of(stack: Sequence[str]) -> str:
    """The part that a stack lies in, outermost frame first."""
    for frame in reversed(stack):
        for part, signs in PARTS.items():
            if any(sign in frame for sign in signs):
                return part
    return LOOP


def shares(lines: Iterable[str]) -> dict[str, float]:
    """The share of samples in each part, from py-spy's raw form: frames by semicolon, then how often."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        found[part_of(stack.split(";"))] += int(count)
    return {part: found[part] / found.total() for part in (*PARTS, LOOP)}


async def flames(field: Field, name: str, seconds: float) -> None:
    """One workload: the graph, then the shares."""
    server, workload, text = field.servers[0], WORKLOADS[name], DRAWN / f"{name}.txt"
    await under_load(server, workload, field.world, seconds, "flamegraph", DRAWN / f"{name}.svg")
    await under_load(server, workload, field.world, seconds, "raw", text)
    await field.settle()
    found = shares(text.read_text().splitlines())
    print(f"{name:16}", *(f"{share:>10.0%}" for share in found.values()), flush=True)


async def main(chosen: Sequence[str], seconds: float) -> None:
    DRAWN.mkdir(parents=True, exist_ok=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    print(f"{'':16}", *(f"{part:>10}" for part in (*PARTS, LOOP)))
    try:
        async with peers.running(["perch"], KEPT, Size()) as field:
            for name in chosen:
                await flames(field, name, seconds)
    finally:
        spent(chosen)
    print(f"flame graphs: {DRAWN}/*.svg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    run(main(given.only.split(","), given.seconds))
