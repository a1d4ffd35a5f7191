"""Bench: CPU of a home page of 20 that takes its tweets and authors from MongoDB, from Redis, and from the process too.

    python -m tests.bench.caches [--pages 300] [--rounds 5]

The three take turns in one run, so that a noisy machine is noisy for all; each round's pages are read one after the
other, by ten readers of thirty authors. Prints the median CPU of the process per page, driver threads included, the
time a page takes, and what writing a copy down and reading it costs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import uvloop

import app
from datastore import ids
from datastore.records import Tweet
from realtime.copies import Copies, tweet_copy, tweet_of
from realtime.timelines import Skeleton, Timelines
from resolvers.context import Context, Services
from schema.build import build
from tests.bench.machine import servers

PAGE = """{ homeTimeline(first: 20) { edges { cursor source node { id text likeCount viewerHasLiked
  author { id username displayName } } } } }"""
READERS, AUTHORS, TWEETS = 10, 30, 10


class Forced(Timelines):
    """Timelines that say which copies a page may use, whoever asks."""

    copies = Copies.ALL

    async def page(self, reader_id: int, first: int, before: int | None = None, live: bool = False) -> Skeleton:
        return replace(await super().page(reader_id, first, before, live), copies=self.copies)


async def world(services: Services) -> list[int]:
    """Readers who follow all authors."""
    now_ms = ids.now_ms()
    people = [
        (await services.users.add(f"p{n}", f"p{n}@perch.example", "-", f"Person {n}", now_ms)).user.id
        for n in range(READERS + AUTHORS)
    ]
    readers, authors = people[:READERS], people[READERS:]
    for author in authors:
        for n in range(TWEETS):
            await services.tweets.add(
                author, f"{n}: " + "as long as most tweets are, give or take a word " * 2, now_ms + n
            )
        for reader in readers:
            await services.follows.add(reader, author, now_ms)
    return readers


async def main(pages: int, rounds: int) -> None:
    schema = build()
    with tempfile.TemporaryDirectory() as name:
        async with (
            servers(Path(name)) as settings,
            app.clients(settings) as clients,
            app.services_of(settings, clients) as services,
        ):
            kept = services.timelines
            forced = Forced(kept._scripts, kept._follows, kept._entries, kept.bounds)
            services = replace(services, timelines=forced)
            readers = await world(services)

            async def page(number: int) -> None:
                context = Context(services, "127.0.0.1", viewer_id=readers[number % READERS])
                answer: Any = await schema.execute(PAGE, context_value=context)
                assert len(answer.data["homeTimeline"]["edges"]) == 20, answer.errors

            cpu: dict[Copies, list[float]] = {copies: [] for copies in Copies}
            took: dict[Copies, list[float]] = {copies: [] for copies in Copies}
            for _ in range(rounds):
                for forced.copies in Copies:
                    for number in range(READERS):
                        await page(number)
                    began, cpu_began = time.perf_counter(), time.process_time()
                    for number in range(pages):
                        await page(number)
                    cpu[forced.copies].append((time.process_time() - cpu_began) / pages * 1000)
                    took[forced.copies].append((time.perf_counter() - began) / pages * 1000)
    print("home page of 20          CPU ms  against MongoDB  took ms")
    for copies, told in ((Copies.NONE, "MongoDB"), (Copies.SHARED, "Redis"), (Copies.ALL, "the process")):
        ratio = statistics.median(one / other for one, other in zip(cpu[copies], cpu[Copies.NONE], strict=True))
        print(
            f"from {told:18} {statistics.median(cpu[copies]):8.2f} {ratio:16.2f} {statistics.median(took[copies]):8.2f}"
        )
    codecs()


def codecs() -> None:
    """What a copy costs, written by orjson and by the standard library."""
    tweet = Tweet(ids.MAX_ID, ids.MAX_ID, "x" * 100, None, None, 12, 3, 4, ("tag",), (ids.MAX_ID,))
    copy = tweet_copy(tweet)
    fields = orjson.loads(copy)
    print(f"write a copy {us(lambda: tweet_copy(tweet)):.2f} us, read it {us(lambda: tweet_of(tweet.id, copy)):.2f} us")
    for name, dump, load in (("orjson", orjson.dumps, orjson.loads), ("json", json.dumps, json.loads)):
        print(f"  of that {name}: {us(lambda d=dump: d(fields)):.2f} us, {us(lambda r=load: r(copy)):.2f} us")  # type: ignore[misc]


def us(call: Callable[[], object], calls: int = 20_000) -> float:
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.pages, arguments.rounds))
