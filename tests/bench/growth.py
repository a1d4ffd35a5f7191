"""Bench: what grows and what does not: pages by followees, by depth and by how many tweets there are; memory, start-up
and import.

    python -m tests.bench.growth [--tweets 10000,100000,1000000] [--seconds 2] [--write]

Every page is asked of a server process over HTTP, one after the other; told is the CPU of that process, of MongoDB and
of Redis for each, and the median time. Cold is a timeline that is not kept and is rebuilt by the read.
"""

import argparse
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import app
from datastore import ids, importer
from datastore.mongo import BulkWriteError
from datastore.records import CursorKind
from datastore.settings import Settings
from datastore.tweets import new_doc
from realtime import keys
from resolvers.context import Services
from schema import cursors
from tests.bench import report, world
from tests.bench.load import Request, measure, post
from tests.bench.machine import cpu_seconds, rss_mb, run, servers
from tests.bench.peers import SETTINGS, TOKEN_SECONDS
from tests.bench.workloads import LIST, OPERATIONS, SEARCHED, TWEET
from tests.processes import Cluster

FOLLOWEES = (10, 100, 1_000, 5_000)
# How deep: the page's number.
DEPTHS = (1, 10, 100)
AUTHORS = 5_000
# The reader whose pages are compared over depth and over the number of tweets follows so many.
USUAL = 100
PAGE = 20
COLD_READS = 20
INSERTED_AT_ONCE = 2_000
DEEP = f"query Home($after: String) {{ homeTimeline(first: {PAGE}, after: $after) {{ {LIST} }} }}{TWEET}"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Perch:
    """A server process and what it stands on."""

    url: str
    clients: app.Clients
    services: Services
    pids: dict[str, int]
    readers: dict[int, int]
    tokens: dict[int, str]
    author_ids: list[int]

    async def cost(self, requests: Iterator[Request], seconds: float) -> Row:
        """CPU in ms of each process for an answer, and the median time."""
        await measure(self.url, self.pids["server"], requests, 1, 0.3)
        before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        sample = await measure(self.url, self.pids["server"], requests, 1, seconds)
        used = {name: 1000 * (cpu_seconds(pid) - before[name]) / sample.answers for name, pid in self.pids.items()}
        return used | {"took_ms": sample.p50_ms}

    def asking(self, followees: int, document: str, variables: Sequence[Row]) -> Iterator[Request]:
        """The same requests again and again, by the reader with so many followees."""
        bodies = [json.dumps({"query": document, "variables": one}).encode() for one in variables]
        return itertools.cycle([post(self.url, body, self.tokens[followees]) for body in bodies])

    async def cold(self, followees: int) -> float:
        """Median time in ms of a first page whose timeline is rebuilt."""
        reader, took = self.readers[followees], []
        for _ in range(COLD_READS):
            await self.services.timelines.drop([reader])
            began = time.perf_counter()
            await self.services.timelines.page(reader, PAGE)
            took.append(1000 * (time.perf_counter() - began))
        return statistics.median(took)


# ---------------------------------------------------------------- the world


def graph(folder: Path) -> Path:
    """Four readers, who follow more and more of the same authors."""
    rows = [f"reader{followees},a{number}" for followees in FOLLOWEES for number in range(followees)]
    path = folder / "follows.csv"
    path.write_text("\n".join(["follower,followee", *rows, ""]))
    return path


async def grow(perch: Perch, there: int, wanted: int) -> None:
    """Tweets up to so many, by all authors in turn, as an import would write them: nobody is told."""
    rng, words = random.Random(wanted), world.words()
    start = ids.now_ms() - world.PAST_MS
    collection = perch.clients.mongo.tweets
    for at in range(there, wanted, INSERTED_AT_ONCE):
        docs = []
        for number in range(at, min(at + INSERTED_AT_ONCE, wanted)):
            author = perch.author_ids[number % AUTHORS]
            # A prime step: neighbours in time are not neighbours in the index, as with tweets that come in.
            moment = start + number * 7919 % (world.PAST_MS - 1)
            docs.append(new_doc(ids.new(moment, author), author, world.text(rng, words)) | {"imported": True})
        try:
            await collection.insert_many(docs, ordered=False)
        except BulkWriteError:
            # Two of one author in one millisecond: one less does not matter here.
            continue


# ---------------------------------------------------------------- the figures


async def by_followees(perch: Perch, seconds: float) -> list[Row]:
    """A first page, by how many the reader follows."""
    home, found = OPERATIONS["Home"].document, []
    for followees in perch.readers:
        warm = await perch.cost(perch.asking(followees, home, [{"first": PAGE}]), seconds)
        found.append({"followees": followees} | warm | {"cold_ms": await perch.cold(followees)})
    return found


async def by_depth(perch: Perch, followees: int, seconds: float) -> list[Row]:
    """Page 1, 10 and 100, as far as there are tweets; the tenth is the first that Redis has not whole."""
    found: list[Row] = []
    after, entries, reader = None, 0, perch.readers[followees]
    for depth in DEPTHS:
        while entries < (depth - 1) * PAGE:
            page = await perch.services.timelines.page(reader, 100, after)
            taken = page.entry_ids[: (depth - 1) * PAGE - entries]
            if not taken:
                return found
            after, entries = taken[-1], entries + len(taken)
        cursor = cursors.encode(CursorKind.HOME, (after,)) if after else None
        found.append({"page": depth} | await perch.cost(perch.asking(followees, DEEP, [{"after": cursor}]), seconds))
    return found


async def by_tweets(perch: Perch, tweets: int, seconds: float) -> Row:
    """What is read most, with so many tweets in MongoDB."""
    row: Row = {"tweets": tweets}
    asked: dict[str, list[Row]] = {
        "home": [{"first": PAGE}],
        "profile": [{"name": f"a{number}", "first": 10} for number in range(0, AUTHORS, 50)],
        "search": [{"query": word, "first": 15} for word in world.words()[SEARCHED]],
    }
    for name, variables in asked.items():
        cost = await perch.cost(perch.asking(USUAL, OPERATIONS[name.title()].document, variables), seconds)
        row |= {f"{name}_{of}": cost[of] for of in ("server", "mongodb", "took_ms")}
    return row | {"cold_ms": await perch.cold(USUAL)}


async def memory(perch: Perch, followees: int) -> list[tuple[str, str]]:
    """Of a timeline of 200 entries and of a cached tweet, with their keys."""
    redis = perch.clients.redis
    name = keys.timeline(perch.readers[followees])
    entries = await redis.llen(name) - 1
    timeline: Any = await redis.memory_usage(name, samples=0)
    copies = [key async for key in redis.scan_iter("tweet:*", count=1000)]
    sizes: list[Any] = [await redis.memory_usage(key) for key in copies[:200]]
    return [
        (f"memory of a timeline of {entries} entries", f"{timeline / 1024:.1f} KiB"),
        ("memory of a cached tweet, median", f"{statistics.median(sizes):.0f} bytes" if sizes else "-"),
        ("memory of the server process", f"{rss_mb(perch.pids['server']):.0f} MB"),
    ]


# ---------------------------------------------------------------- the run


async def started(cluster: Cluster) -> tuple[int, float]:
    """A server process, and the seconds until it was ready."""
    began = time.perf_counter()
    process = await cluster.start("serve")
    async with httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"http://127.0.0.1:{cluster.port}/readyz")).status_code == 200:
                    return process.pid, time.perf_counter() - began
            except httpx.TransportError:
                pass


async def measured(folder: Path, settings: Settings, steps: Sequence[int], seconds: float) -> Row:
    """Every figure, in one run."""
    cluster = Cluster((settings.mongo_url, settings.redis_url), folder, **SETTINGS)
    settings = cluster.settings(access_token_seconds=TOKEN_SECONDS)
    try:
        async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
            await cluster.start("work")
            server, ready_seconds = await started(cluster)
            began = time.perf_counter()
            counts = await importer.run(
                clients.mongo, now_ms=ids.now_ms(), follows=graph(folder), touched=services.timelines.drop
            )
            rate = counts["follows"].read / (time.perf_counter() - began)
            people = {doc["username"]: doc["_id"] async for doc in clients.mongo.users.find({}, {"username": 1})}
            readers = {followees: people[f"reader{followees}"] for followees in FOLLOWEES}
            tokens = dict(zip(FOLLOWEES, await world.tokens(services, list(readers.values())), strict=True))
            status = await clients.mongo.db.command("serverStatus")
            info: Any = await clients.redis.info("server")
            pids = {"server": server, "mongodb": int(status["pid"]), "redis": int(info["process_id"])}
            authors = [people[f"a{number}"] for number in range(AUTHORS)]
            url = f"http://127.0.0.1:{cluster.port}/graphql"
            perch = Perch(url, clients, services, pids, readers, tokens, authors)
            found: Row = {"tweets": []}
            for there, wanted in itertools.pairwise([0, *steps]):
                await grow(perch, there, wanted)
                await services.timelines.forget_all()
                found["tweets"].append(await by_tweets(perch, wanted, seconds))
            found["followees"], found["depth"] = (
                await by_followees(perch, seconds),
                await by_depth(perch, USUAL, seconds),
            )
            rows = [("start-up of a server process until it is ready", f"{ready_seconds:.1f} s")]
            rows += [("import of follows and the people they name", f"{rate:,.0f} rows a second")]
            return found | {"rows": [*rows, *await memory(perch, USUAL)]}
    finally:
        await cluster.stop()


async def main(steps: Sequence[int], seconds: float) -> Row:
    with tempfile.TemporaryDirectory() as name:
        async with servers(Path(name)) as settings:
            return await measured(Path(name), settings, steps, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tweets", default="10000,100000,1000000")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    figures = run(main([int(step) for step in given.tweets.split(",")], given.seconds))
    print(json.dumps(figures, indent=1))
    if given.write:
        report.keep("growth", figures)
