"""What an entry of fan-out costs, beside a redis-py pipeline that writes the same to as many full timelines. Starts
nothing."""

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from realtime import keys
from realtime.cluster import Cluster
from realtime.connect import Client
from realtime.fanout import Fanout
from realtime.scripts import Scripts
from realtime.timelines import KEPT_ENTRIES, Bounds
from tests.bench.machine import own_cpu_seconds

Rows = list[tuple[str, str]]
# Entries in one plain pipeline, each two commands: more of them are not faster.
PLAIN_AT_ONCE = 4000


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a round: entries a second, and CPU in us for each, of the writing process and of Redis."""

    per_second: float
    client_us: float
    redis_us: float


async def redis_cpu_seconds(redis: Client) -> float:
    """Of all primaries, where it is a cluster."""
    servers: list[Any] = await redis.primaries() if isinstance(redis, Cluster) else [redis]
    used = [await one.info("cpu") for one in servers]
    return sum(float(info["used_cpu_user"]) + float(info["used_cpu_sys"]) for info in used)


async def fill(redis: Client, readers: Sequence[int]) -> None:
    """A full timeline for each reader, once as Perch keeps it and once plain, which needs a setting to be compact."""
    await redis.config_set("zset-max-listpack-entries", 256)
    entries: dict[str, float] = {str(one): one for one in range(1, KEPT_ENTRIES + 1)}
    for at in range(0, len(readers), 100):
        async with redis.pipeline(transaction=False) as pipe:
            for reader in readers[at : at + 100]:
                pipe.lpush(keys.timeline(reader), "floor:0", *entries)
                pipe.zadd(f"plain:{reader}", entries)
            await pipe.execute()


async def scripted(fanout: Fanout, readers: Sequence[int], entries: Sequence[int]) -> None:
    """As the worker writes."""
    for entry in entries:
        await fanout.push(readers, entry)
    await fanout.flush()


async def plain(redis: Client, readers: Sequence[int], entries: Sequence[int]) -> None:
    """As anybody would, thousands in one pipeline."""
    pairs = [(reader, entry) for entry in entries for reader in readers]
    for at in range(0, len(pairs), PLAIN_AT_ONCE):
        async with redis.pipeline(transaction=False) as pipe:
            for reader, entry in pairs[at : at + PLAIN_AT_ONCE]:
                pipe.zadd(f"plain:{reader}", {str(entry): entry})
                pipe.zremrangebyrank(f"plain:{reader}", 0, -KEPT_ENTRIES - 1)
            await pipe.execute()


async def cost(redis: Client, count: int, write: Callable[[], Awaitable[None]]) -> Cost:
    began, own, server = time.perf_counter(), own_cpu_seconds(), await redis_cpu_seconds(redis)
    await write()
    took, own, server = time.perf_counter() - began, own_cpu_seconds() - own, await redis_cpu_seconds(redis) - server
    return Cost(count / took, own / count * 1e6, server / count * 1e6)


async def beside_a_pipeline(redis: Client, rounds: int, readers: Sequence[int], entries: int) -> Rows:
    """Medians over the rounds; ratios within each round."""
    await fill(redis, readers)
    fanout, next_entry = Fanout(Scripts(redis), Bounds()), itertools.count(KEPT_ENTRIES + 1)
    pairs: list[tuple[Cost, Cost]] = []
    for _ in range(rounds):
        new = list(itertools.islice(next_entry, entries))
        ours = await cost(redis, len(readers) * entries, lambda new=new: scripted(fanout, readers, new))  # type: ignore[misc]
        theirs = await cost(redis, len(readers) * entries, lambda new=new: plain(redis, readers, new))  # type: ignore[misc]
        pairs.append((ours, theirs))

    return [
        ("entries a second from one process, in thousands", told(pairs, lambda one: one.per_second / 1000, 1)),
        ("CPU of that process for an entry, in us", told(pairs, lambda one: one.client_us, -1)),
        ("CPU of Redis for an entry, in us", told(pairs, lambda one: one.redis_us, -1)),
    ]


def told(pairs: Sequence[tuple[Cost, Cost]], of: Callable[[Cost], float], better: int) -> str:
    """Both medians, and how much better ours is within a round; `better` is 1 where more is better, else -1."""
    ours, theirs = (statistics.median(of(pair[at]) for pair in pairs) for at in (0, 1))
    ratio = statistics.median((of(one) / of(other)) ** better for one, other in pairs)
    return f"{ours:,.3g}; a plain pipeline {theirs:,.3g}: {ratio:.1f} times better"
