"""Bench: what an entry of fan-out costs on a Redis Cluster of three primaries beside one server.

    python -m tests.bench.on_cluster [--rounds 9] [--readers 3000] [--entries 4]

They take turns at writing the same entries to as many timelines: as a batch of the worker gathers them, and in the
smaller units of an author with many readers.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from realtime.connect import Client, for_workers
from realtime.devserver import valkey, valkey_cluster
from realtime.fanout import Fanout
from realtime.scripts import Scripts
from realtime.timelines import Bounds
from tests.bench.fanout_cost import Cost, cost, fill, scripted
from tests.bench.machine import run


def told(name: str, rounds: Sequence[tuple[Cost, Cost]]) -> str:
    """Medians, and the median of the ratios within a round."""
    parts = []
    for what in ("client_us", "redis_us"):
        one, many = (statistics.median(getattr(pair[at], what) for pair in rounds) for at in (0, 1))
        ratio = statistics.median(getattr(many, what) / getattr(one, what) for one, many in rounds)
        parts.append(f"{what} {one:.2f} on one server, {many:.2f} on the cluster: {ratio:.2f} times")
    return f"{name}: {'; '.join(parts)}"


async def bench(rounds: int, readers: int, entries: int) -> None:
    """Prints a line for each shape."""
    with tempfile.TemporaryDirectory() as folder:
        async with valkey(Path(folder) / "one") as one_url, valkey_cluster(Path(folder) / "many") as (many_url, _):
            clients = [for_workers(one_url), for_workers(many_url)]
            for redis in clients:
                await fill(redis, range(readers))
            for name, apart in (("a batch", False), ("units of one author", True)):
                turn, next_entry, found = asyncio.Lock(), itertools.count(1000 + 100_000 * apart), []
                fanouts = [Fanout(Scripts(redis), Bounds()) for redis in clients]
                fanouts = [fanout.apart(turn) for fanout in fanouts] if apart else fanouts
                for _ in range(rounds):
                    new = list(itertools.islice(next_entry, entries))
                    found.append([await _cost(*pair, readers, new) for pair in zip(clients, fanouts, strict=True)])
                print(told(name, [(one, many) for one, many in found]))
            for redis in clients:
                await redis.aclose()


async def _cost(redis: Client, fanout: Fanout, readers: int, entries: list[int]) -> Cost:
    return await cost(redis, readers * len(entries), lambda: scripted(fanout, range(readers), entries))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--readers", type=int, default=3000)
    parser.add_argument("--entries", type=int, default=4)
    run(bench(**vars(parser.parse_args())))
