"""Bench: fan-out: what an entry costs beside a plain pipeline, how soon the last follower has it, and a burst.

    python -m tests.bench.fanout [--follows FILE.csv.gz] [--rounds 5] [--posts 20] [--write]

First Perch's scripts and a redis-py pipeline of ZADD and ZREMRANGEBYRANK take turns at writing the same entries to as
many full timelines. Then, with a worker process: from a write to the last of its author's kept timelines, and how far
the worker falls behind at 1,000 tweets a second. Redis' latency monitor and slow log watch all of it.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import app
from datastore import ids, importer
from datastore.changes import Changes
from datastore.settings import Settings
from datastore.tweets import new_doc
from realtime import keys
from realtime.connect import Client
from realtime.pipeline import settle
from resolvers.context import Services
from tests.bench import report
from tests.bench.fanout_cost import Rows, beside_a_pipeline, redis_cpu_seconds
from tests.bench.machine import cpu_seconds, run, servers
from tests.processes import Cluster

READERS, ENTRIES = 5_000, 40
FOLLOWERS, AUTHORS, AVERAGE = 4_999, 200, 75
BURST_A_SECOND, BURST_SECONDS, AT_ONCE = 1_000, 10, 50
# A page that Redis was too busy for is read again, so often.
READ_TRIES = 3
# What may hold Redis up, in ms; the slow log tells from half of it on how long a script took.
HELD_MS = 2


async def watch(redis: Client) -> None:
    """Have Redis note from now on what holds it up."""
    await redis.config_set("latency-monitor-threshold", HELD_MS)
    await redis.config_set("slowlog-log-slower-than", HELD_MS * 500)
    await redis.execute_command("LATENCY", "RESET")  # type: ignore[no-untyped-call]
    await redis.slowlog_reset()


async def held(redis: Client) -> str:
    """The longest script, and what the latency monitor saw, in words."""
    slow: Any = await redis.slowlog_get(1000)
    scripts = [one["duration"] / 1000 for one in slow if bytes(one["command"]).lower().startswith(b"eval")]
    seen: Any = await redis.execute_command("LATENCY", "LATEST")  # type: ignore[no-untyped-call]
    longest = f"{max(scripts):.1f} ms" if scripts else f"under {HELD_MS / 2:.0f} ms"
    return f"{longest}; latency monitor from {HELD_MS} ms: " + (
        ", ".join(f"{event} {most} ms" for event, _, _, most, *_ in seen) or "nothing"
    )


# ---------------------------------------------------------------- with a worker


def made_graph(folder: Path, followers: int, authors: int) -> Path:
    """One author whom all readers follow, and others whom 75 of them follow each."""
    path = folder / "follows.csv"
    rows = [f"r{number},star" for number in range(followers)]
    rows += [
        f"r{(7 * author + 13 * number) % followers},a{author}" for author in range(authors) for number in range(AVERAGE)
    ]
    path.write_text("\n".join(["follower,followee", *dict.fromkeys(rows), ""]))
    return path


async def to_the_last(clients: app.Clients, services: Services, author_id: int, posts: int) -> Rows:
    """From a write to the last kept timeline of a follower."""
    readers = await read_by_all(clients, services, author_id)
    took = []
    for number in range(posts):
        started = time.perf_counter()
        tweet = await services.tweets.add(author_id, f"post {number}", ids.now_ms())
        while not all(await shown(clients, readers, tweet.id)):
            await asyncio.sleep(0.002)
        took.append((time.perf_counter() - started) * 1000)
    told = f"median of {posts} {statistics.median(took):.0f} ms, worst {max(took):.0f} ms"
    return [(f"a tweet written to the last of {len(readers):,} kept timelines", told)]


async def read_by_all(clients: app.Clients, services: Services, author_id: int) -> list[int]:
    """The followers of an author whose timelines are kept now: all of them, unless Redis is too busy to keep up."""
    missing = [one async for batch in services.follows.walk_followers(author_id) for one in batch]
    kept: list[int] = []
    for _ in range(READ_TRIES):
        for at in range(0, len(missing), 20):
            await asyncio.gather(*(services.timelines.page(one, 20) for one in missing[at : at + 20]))
        there = [await clients.live.exists(keys.timeline(one)) for one in missing]
        kept += [one for one, found in zip(missing, there, strict=True) if found]
        missing = [one for one, found in zip(missing, there, strict=True) if not found]
    return sorted(kept)


async def shown(clients: app.Clients, readers: list[int], entry_id: int) -> list[bool]:
    """For each reader whether the kept timeline has the entry; the last ones pushed are asked first."""
    if await clients.live.lpos(keys.timeline(readers[-1]), str(entry_id)) is None:
        return [False]
    async with clients.live.pipeline(transaction=False) as pipe:
        for reader in readers:
            pipe.lpos(keys.timeline(reader), str(entry_id))
        return [place is not None for place in await pipe.execute()]


async def burst(
    clients: app.Clients, settings: Settings, worker: int, author_ids: Sequence[int], seconds: float
) -> Rows:
    """How far the worker falls behind average authors who write at an even pace. The tweets are written straight to
    MongoDB, many at once, so that writing them costs little of what is measured."""
    turn = itertools.cycle(author_ids)
    changes, loop, lags = Changes(clients.mongo), asyncio.get_running_loop(), list[float]()
    over = asyncio.Event()

    async def lagging() -> None:
        while not over.is_set():
            began = loop.time()
            await settle(changes, clients.live, settings.partitions)
            lags.append(loop.time() - began)
            await asyncio.sleep(0.2)

    used, redis_used, began = cpu_seconds(worker), await redis_cpu_seconds(clients.live), loop.time()
    sampling, moment_ms = asyncio.create_task(lagging()), 0
    for number in range(int(seconds * BURST_A_SECOND) // AT_ONCE):
        await asyncio.sleep(max(0.0, began + number * AT_ONCE / BURST_A_SECOND - loop.time()))
        # A millisecond for each: no id is there already.
        moment_ms = max(ids.now_ms(), moment_ms + AT_ONCE)
        authors = enumerate(itertools.islice(turn, AT_ONCE))
        docs = [new_doc(ids.new(moment_ms + at, author), author, f"tweet {number}") for at, author in authors]
        await clients.mongo.tweets.insert_many(docs, ordered=False)
    written = loop.time() - began
    over.set()
    await sampling
    await settle(changes, clients.live, settings.partitions)
    drained = loop.time() - began - written
    entries = seconds * BURST_A_SECOND * (AVERAGE + 1)
    cpu, redis_cpu = cpu_seconds(worker) - used, await redis_cpu_seconds(clients.live) - redis_used
    pace = f"{seconds * BURST_A_SECOND / written:,.0f} tweets a second for {written:.0f} s, {AVERAGE} followers each"
    lag = f"median {statistics.median(lags):.2f} s, worst {max(lags):.2f} s, none {drained:.2f} s after the last"
    each = f"worker {cpu / entries * 1e6:.1f} us, Redis {redis_cpu / entries * 1e6:.1f} us"
    return [(f"lag of one worker at {pace}", lag), ("CPU for one of these entries, change stream and all", each)]


async def with_a_worker(folder: Path, settings: Settings, follows: Path | None, posts: int, seconds: int) -> Rows:
    quick = dict.fromkeys(("LEASE_SECONDS", "SWEEP_SECONDS", "PURGE_LOOK_SECONDS", "PURGE_AGAIN_SECONDS"), "")
    cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **quick, LOG_LEVEL="WARNING")
    settings = cluster.settings()
    try:
        async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
            worker = await cluster.start("work")
            path = follows or made_graph(folder, FOLLOWERS, AUTHORS)
            await importer.run(clients.mongo, now_ms=ids.now_ms(), follows=path, touched=services.timelines.drop)
            star = await clients.mongo.users.find_one({}, sort=[("followers", -1)])
            assert star
            found = await to_the_last(clients, services, star["_id"], posts)
            named = clients.mongo.users.find({"name_key": {"$regex": "^a[0-9]+$"}}, {"_id": 1})
            authors = [doc["_id"] async for doc in named]
            return found if follows else found + await burst(clients, settings, worker.pid, authors, seconds)
    finally:
        await cluster.stop()


async def main(follows: Path | None, rounds: int, posts: int) -> Rows:
    with tempfile.TemporaryDirectory() as name:
        async with servers(Path(name)) as settings, app.clients(settings) as clients:
            await watch(clients.live)
            found = await beside_a_pipeline(clients.live, rounds, range(1, READERS + 1), ENTRIES)
            await clients.live.flushall()
            found += await with_a_worker(Path(name), settings, follows, posts, BURST_SECONDS)
            return [*found, ("the longest that a script held Redis up", await held(clients.live))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--follows", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--posts", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = run(main(given.follows, given.rounds, given.posts))
    print(*(f"{what}: {told}" for what, told in rows), sep="\n")
    if given.write:
        report.keep("fanout", {"rows": rows})
