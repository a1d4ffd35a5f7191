"""Bench: how long Redis does nothing but one script, for each kind at the most that it is ever given.

    python -m tests.bench.scripts [--rounds 30] [--write]

Full timelines of present readers, one who follows 5,000, an author with more entries than are kept, full lists of top
tweets. Redis' slow log tells the time of each run by the clock; a script that was preempted has waited, too, so the
median over the rounds is what a script takes, and the worst what a busy machine makes of it.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app
from datastore import ids, popularity
from datastore.records import TopWindow
from datastore.tweets import new_doc
from realtime import keys
from realtime.cache import COPIES_AT_ONCE
from realtime.connect import Client
from realtime.fanout import PAIRS_PER_SCRIPT, Fanout
from realtime.hub import LOOKED_AT_ONCE
from realtime.scripts import Scripts
from realtime.timelines import Bounds
from realtime.top_tweets import TWEETS_PER_SCRIPT, TopBounds
from resolvers.context import Services
from resolvers.guards import PAGE_LIMIT
from tests.bench import report
from tests.bench.machine import run, servers

FOLLOWEES, ENTRIES = 5_000, 250
# What no script may hold Redis up for.
LIMIT_MS = 2.0
# By script and what it was given: milliseconds of each run.
Taken = dict[tuple[str, str], list[float]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Open rooms, and what each script took so far."""

    clients: app.Clients
    services: Services
    scripts: Scripts
    taken: Taken

    @property
    def redis(self) -> Client:
        return self.clients.redis

    @asynccontextmanager
    async def seen(self, *given: str) -> AsyncIterator[None]:
        """Note the scripts that run meanwhile; `given` is "name: what it is given" of those that are told."""
        told = dict(one.split(": ", 1) for one in given)
        names = {sha: name for name, sha in self.scripts._shas.items()}
        await self.redis.slowlog_reset()
        yield
        slow: Any = await self.redis.slowlog_get(10_000)
        for one in slow:
            command, sha, *_ = [*bytes(one["command"]).decode(errors="replace").split(" "), ""]
            name = names.get(sha, "")
            if command.upper() == "EVALSHA" and name in told:
                self.taken[name, told[name]].append(one["duration"] / 1000)


async def planted(bench: Bench) -> tuple[int, list[int]]:
    """An author with more entries than are kept, and readers who follow 5,000 others."""
    now_ms, mongo = ids.now_ms(), bench.clients.mongo
    star, *readers = [ids.new(now_ms + n) for n in range(PAIRS_PER_SCRIPT + 1)]
    authors = [ids.new(now_ms - 1000 * n) for n in range(FOLLOWEES)]
    moments = [(author, now_ms - 60_000 * n) for n, author in enumerate(authors)]
    moments += [(star, now_ms + 1000 * n) for n in range(ENTRIES)]
    await mongo.tweets.insert_many([new_doc(ids.new(at, author), author, "x") for author, at in moments])
    follows = [{"_id": {"a": author, "f": readers[0]}, "at": now_ms} for author in authors]
    follows += [{"_id": {"a": author, "f": one}, "at": now_ms} for author in authors[:300] for one in readers[1:]]
    await mongo.follows.insert_many(follows, ordered=False)
    return star, readers


async def timelines(bench: Bench, star: int, readers: list[int], round_: int) -> None:
    """Rebuilds, pages, merges, fan-out to readers who are present, and a resume after as many events as are kept."""
    services = bench.services
    await services.timelines.drop(readers)
    async with bench.seen("build_finish: 200 entries", f"page: the newest {PAGE_LIMIT}, present"):
        for reader in readers[:5]:
            await services.timelines.page(reader, PAGE_LIMIT, live=True)
    for reader in readers:
        await services.timelines.page(reader, 1, live=True)
    async with bench.seen("merge: 200 entries into 200, present"):
        for reader in readers[:5]:
            await services.timelines.merge(reader, star)
    fanout, newest = Fanout(bench.scripts, Bounds()), ids.now_ms() + 10_000_000 * (round_ + 1)
    async with bench.seen(f"deliver: {PAIRS_PER_SCRIPT} pairs, all present"):
        for number in range(5):
            await fanout.push(readers, ids.new(newest + number, star))
            await fanout.flush()
    reader, start = readers[0], (await services.timelines.attach(readers[0])) or ""
    for number in range(Bounds().events_kept):
        await fanout.push([reader], ids.new(newest + 100 + number, star))
        await fanout.flush()
    async with bench.seen(f"resume: {LOOKED_AT_ONCE} of {Bounds().events_kept} events"):
        missed, _ = await services.hub.missed(reader, start)
        assert missed
        assert len(missed) == Bounds().events_kept


async def copies(bench: Bench) -> None:
    """As many as four pages ask for at once."""
    found = await bench.clients.mongo.tweets.find({}, {"_id": 1}).limit(4 * PAGE_LIMIT).to_list(None)
    await bench.services.cache.forget_all()
    async with bench.seen(f"copies_read: {COPIES_AT_ONCE} keys", f"copies_fill: {COPIES_AT_ONCE} tweets"):
        await bench.services.cache.tweets([doc["_id"] for doc in found])


async def top_tweets(bench: Bench, round_: int) -> None:
    """Rebuilds, rankings, snapshots and expiries of full lists."""
    top, bounds, now_ms = bench.services.top_tweets, TopBounds(), ids.now_ms()
    for window in TopWindow:
        await bench.redis.unlink(keys.top_tweets(window))
    async with bench.seen(f"top_fill: {TWEETS_PER_SCRIPT} tweets"):
        await top.rebuild(TopWindow.DAY)
    found = await bench.clients.mongo.tweets.find({"top_day": {"$exists": True}}, {"_id": 1}).to_list(None)
    ranked = [doc["_id"] for doc in found[:TWEETS_PER_SCRIPT]]
    low = {window: popularity.lowest_place(window, now_ms) for window in TopWindow}

    async def lists(count: int, place: Callable[[TopWindow, int], float]) -> None:
        for window in TopWindow:
            members = {f"{number:016d}": place(window, number) for number in range(count)}
            await bench.redis.unlink(keys.top_tweets(window))
            await bench.redis.zadd(keys.top_tweets(window), members | {"floor:-inf": float("inf")})

    await lists(bounds.kept, lambda window, number: low[window] + 1 + number / 1000)
    async with bench.seen(f"top_rank: {TWEETS_PER_SCRIPT} tweets, three full lists"):
        await top.rank(ranked)
    async with bench.seen(f"top_page: a snapshot of {bounds.listed}"):
        await top.page(TopWindow.DAY, PAGE_LIMIT, now_ms, snapshot=True)
    await lists(bounds.trim_at, lambda window, number: low[window] + 1 + number / 1000)
    async with bench.seen(f"top_rank: a trim of {bounds.trim_at - bounds.kept} of each list"):
        await top.rank(ranked[:3])
    await lists(bounds.kept, lambda window, number: low[window] - 1 - number / 1000)
    async with bench.seen(f"top_rank: all {bounds.kept} of each list expire"):
        await top.rank(ranked[:3])


async def placed(bench: Bench) -> None:
    """As many tweets with places as a list keeps."""
    now_ms, author = ids.now_ms() - 3_600_000, ids.new(1_700_000_000_000)
    docs = []
    for number in range(TopBounds().kept):
        tweet_id = ids.new(now_ms + 100 * number, author)
        docs.append(new_doc(tweet_id, author, "x") | {"engagement": 9} | popularity.places(tweet_id, 9, 100))
    await bench.clients.mongo.tweets.insert_many(docs, ordered=False)


async def main(rounds: int) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        async with (
            servers(Path(name)) as started,
            app.clients(settings := started.model_copy(update={"redis_timeout_ms": 10_000})) as clients,
            app.services_of(settings, clients) as services,
        ):
            bench = Bench(clients, services, Scripts(clients.redis), defaultdict(list))
            star, readers = await planted(bench)
            await placed(bench)
            await clients.redis.config_set("slowlog-log-slower-than", 0)
            await clients.redis.config_set("slowlog-max-len", 10_000)
            for number in range(rounds):
                await timelines(bench, star, readers, number)
                await copies(bench)
                await top_tweets(bench, number)
            return [row(*key, took) for key, took in sorted(bench.taken.items())]


def row(script: str, given: str, took: list[float]) -> tuple[str, str]:
    """One script in words."""
    median = statistics.median(took)
    over = "" if median <= LIMIT_MS else f", over {LIMIT_MS:.0f} ms"
    return f"{script}: {given}", f"median {median:.2f} ms{over}, of {len(took)} runs the worst {max(took):.2f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = run(main(given.rounds))
    print(*(f"{what}: {told}" for what, told in rows), sep="\n")
    if given.write:
        report.keep("scripts", {"rows": rows})
