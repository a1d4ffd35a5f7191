"""Bench: from postTweet to the last of an author's read timelines, after an import of a follow graph.

    python -m tests.bench.fanout [--follows FILE.csv.gz] [--posts 20]

Without a file, a power-law graph of 100 authors, 28,000 followers and 100,000 follows is made. Prints the import's
rate, the pages' rate on a cold cache, and for each post the time until every kept timeline of a follower has it.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from pydantic import SecretStr

import app
from datastore import ids, importer
from datastore.devserver import mongod
from datastore.settings import Settings
from realtime import keys
from realtime.devserver import valkey


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Settings]:
    """Settings for a private mongod and valkey."""
    async with mongod(folder / "mongo") as mongo_url, valkey(folder / "redis") as redis_url:
        yield Settings(
            mongo_url=mongo_url,
            redis_url=redis_url,
            data_dir=folder,
            secret_key=SecretStr("a secret for benches, long enough to sign with"),
            rate_limits=False,
            log_level="WARNING",
        )


def made_graph(folder: Path) -> Path:
    """100,000 follows of 100 authors, the first with some 3,400 followers."""
    rng = random.Random(2006)
    path = folder / "follows.csv"
    rows: set[tuple[int, int]] = set()
    while len(rows) < 100_000:
        rows.add((rng.randrange(28_000), int(100 * rng.random() ** 1.35)))
    path.write_text("follower,followee\n" + "".join(f"u{who},a{author}\n" for who, author in sorted(rows)))
    return path


async def main(follows: Path | None, posts: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            servers(folder) as settings,
            app.clients(settings) as clients,
            app.working(settings),
            app.services_of(settings, clients) as services,
        ):
            started = time.perf_counter()
            path = follows or made_graph(folder)
            counts = await importer.run(
                clients.mongo, now_ms=ids.now_ms(), follows=path, touched=services.timelines.drop
            )
            seconds = time.perf_counter() - started
            print(f"import: {counts['follows'].read:,} follows in {seconds:.1f} s")
            top = await clients.mongo.users.find_one({}, sort=[("followers", -1)])
            assert top is not None
            readers = [one async for batch in services.follows.walk_followers(top["_id"]) for one in batch]
            started = time.perf_counter()
            for at in range(0, len(readers), 50):
                await asyncio.gather(*(services.timelines.page(one, 20) for one in readers[at : at + 50]))
            rate = len(readers) / (time.perf_counter() - started)
            print(f"cold first pages: {len(readers):,} readers, {rate:,.0f} a second")
            took = []
            for number in range(posts):
                started = time.perf_counter()
                tweet = await services.tweets.add(top["_id"], f"post {number}", ids.now_ms())
                while not all(await shown(clients, readers, tweet.id)):
                    await asyncio.sleep(0.005)
                took.append((time.perf_counter() - started) * 1000)
            median, worst = statistics.median(took), max(took)
            print(f"post to the last of {len(readers):,} read timelines: median {median:.0f} ms, worst {worst:.0f} ms")


async def shown(clients: app.Clients, readers: list[int], entry_id: int) -> list[bool]:
    """For each reader whether the kept timeline has the entry; the last ones pushed are asked first."""
    async with clients.redis.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.timeline(readers[-1]), str(entry_id))
        if (await pipe.execute())[0] is None:
            return [False]
        for reader in readers:
            pipe.zscore(keys.timeline(reader), str(entry_id))
        return [score is not None for score in await pipe.execute()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--follows", type=Path)
    parser.add_argument("--posts", type=int, default=20)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.follows, arguments.posts))
