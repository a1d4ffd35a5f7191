"""Bench: what the simulation needs beside the other figures: a page by how many top users its reader follows, and bytes
of a timeline by its cap, of a live stream, and of documents with their indexes.

    python -m tests.bench.sizes [--write]

Pages are read by the rooms, without GraphQL, in turns; told is the CPU of this process and of Redis for each.
"""

import argparse
import json
import random
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import app
from datastore import ids
from datastore.mongo import Mongo
from datastore.settings import Settings
from datastore.tweets import new_doc
from realtime.pipeline import open_rooms
from realtime.timelines import Bounds
from resolvers.context import Services
from tests.bench import report, world
from tests.bench.fanout_cost import redis_cpu_seconds
from tests.bench.machine import own_cpu_seconds, run, servers

PULLED = (0, 5, 20, 50)
CAPS = (50, 100, 200, 400, 800, 2000)
PAGES, ROUNDS = 60, 3
TWEETS_EACH = 250
FOLLOWEES = 100
DOCUMENTS = 10_000
Rows = list[dict[str, Any]]


async def readers(settings: Settings, clients: app.Clients, services: Services) -> dict[int, int]:
    """By how many top users they follow. Each of those has more entries than are kept."""
    # One follower is one too many.
    rooms = open_rooms(clients.mongo, clients.live, settings.partitions, Bounds.of(settings), 0)
    now_ms, rng, words = ids.now_ms(), random.Random(1), world.words()

    async def person(name: str) -> int:
        return (await services.users.add(name, f"{name}@perch.example", "-", "Person", now_ms)).user.id

    authors = [await person(f"a{n}") for n in range(max(PULLED))]
    found = {}
    for count in PULLED:
        found[count] = await person(f"r{count}")
        for author in authors[:count]:
            await services.follows.add(found[count], author, now_ms)
    for author in authors:
        moments = [now_ms + 1 + author % 997 + 997 * n for n in range(TWEETS_EACH)]
        docs = [new_doc(ids.new(at, author), author, world.text(rng, words)) for at in moments]
        await clients.mongo.tweets.insert_many(docs)
        await rooms.top_users.promote(author)
    return found


async def pages(clients: app.Clients, services: Services, reader_ids: dict[int, int]) -> Rows:
    """Medians over rounds in turn, in ms of CPU for a page of 20."""
    for count, reader in reader_ids.items():
        assert len((await services.timelines.page(reader, 20)).pulled) == count
    used: dict[int, list[tuple[float, float]]] = {count: [] for count in reader_ids}
    for number in range(ROUNDS + 1):
        for count, reader in reader_ids.items():
            redis, own = await redis_cpu_seconds(clients.redis), own_cpu_seconds()
            for _ in range(PAGES):
                await services.timelines.page(reader, 20)
            if number:  # the first builds what is not kept
                spent = own_cpu_seconds() - own, await redis_cpu_seconds(clients.redis) - redis
                used[count].append((1000 * spent[0] / PAGES, 1000 * spent[1] / PAGES))
    medians = {count: [statistics.median(costs) for costs in zip(*of, strict=True)] for count, of in used.items()}
    return [{"pulled": count, "process_ms": own, "redis_ms": redis} for count, (own, redis) in medians.items()]


async def cold(clients: app.Clients, services: Services) -> dict[str, float]:
    """CPU in ms of a first page whose timeline is rebuilt, for a reader of 100; of MongoDB, too."""
    now_ms, rng, words = ids.now_ms(), random.Random(3), world.words()
    reader = (await services.users.add("cold", "cold@perch.example", "-", "Cold", now_ms)).user.id
    for n in range(FOLLOWEES):
        author = ids.new(now_ms - 1000 * n)
        await services.follows.add(reader, author, now_ms)
        docs = [new_doc(ids.new(now_ms - 997 * at - n, author), author, world.text(rng, words)) for at in range(30)]
        await clients.mongo.tweets.insert_many(docs)
    before = [await _mongo_cpu_seconds(clients), own_cpu_seconds(), await redis_cpu_seconds(clients.redis)]
    for _ in range(PAGES):
        await services.timelines.drop([reader])
        await services.timelines.page(reader, 20)
    after = [await _mongo_cpu_seconds(clients), own_cpu_seconds(), await redis_cpu_seconds(clients.redis)]
    spent = [1000 * (late - early) / PAGES for early, late in zip(before, after, strict=True)]
    return dict(zip(("mongodb_ms", "process_ms", "redis_ms"), spent, strict=True))


async def _mongo_cpu_seconds(clients: app.Clients) -> float:
    used = (await clients.mongo.db.command("serverStatus"))["extra_info"]
    return float(used["user_time_us"] + used["system_time_us"]) / 1e6


async def timelines(clients: app.Clients) -> Rows:
    """Bytes that Redis keeps for a timeline of so many entries, and its sentinel."""
    redis, now_ms, rows = clients.redis, ids.now_ms(), []
    for cap in CAPS:
        await redis.lpush("tl:{0}:1", "floor:0", *(ids.new(now_ms + 60_000 * n) for n in range(cap)))
        rows.append({"cap": cap, "bytes": await redis.memory_usage("tl:{0}:1", samples=0)})
        await redis.delete("tl:{0}:1")
    return rows


async def stream(clients: app.Clients) -> dict[str, int]:
    """Bytes of a reader who is present, with as many events as are kept."""
    redis, token = clients.redis, "0123456789abcdef.123"
    for _ in range(200):
        await redis.xadd("ev", {"p": token, "t": token, "d": f"+:{ids.new(ids.now_ms())}"})
    await redis.hset("on", "last", token)
    return {name: await redis.memory_usage(name, samples=0) or 0 for name in ("ev", "on")}


async def documents(clients: app.Clients) -> Rows:
    """Bytes of a document and of its entries in indexes, before any compression of blocks."""
    rng, words, now_ms = random.Random(2), world.words(), ids.now_ms()
    people = [ids.new(now_ms - 1000 * n) for n in range(1000)]
    pairs = [(people[n % 1000], people[(n + 1 + n // 1000) % 1000], now_ms + 50 * n) for n in range(DOCUMENTS)]
    tweets = [new_doc(ids.new(at, who), who, world.text(rng, words)) for who, _, at in pairs]
    liked = zip(tweets, pairs, strict=True)
    made: dict[str, Rows] = {
        "tweets": tweets,
        "follows": [{"_id": {"a": author, "f": follower}, "at": at} for author, follower, at in pairs],
        "likes": [{"_id": {"t": tweet["_id"], "u": user}, "at": at} for tweet, (_, user, at) in liked],
    }
    return [{"what": name, **await _sizes(clients.mongo, name, docs)} for name, docs in made.items()]


async def _sizes(mongo: Mongo, name: str, docs: Rows) -> dict[str, float]:
    # Not emptied: indexes would keep the room of what was in them.
    await mongo.db.drop_collection(name)
    await mongo.ensure_indexes()
    for at in range(0, len(docs), 1000):
        await mongo.db[name].insert_many(docs[at : at + 1000], ordered=False)
    await mongo.db.client.admin.command("fsync")
    stats = await mongo.db.command("collStats", name)
    return {"document": stats["size"] / stats["count"], "indexes": stats["totalIndexSize"] / stats["count"]}


async def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        async with (
            servers(Path(name)) as started,
            # On a busy machine nothing shall be measured that fell back to MongoDB.
            app.clients(settings := started.model_copy(update={"redis_timeout_ms": 10_000})) as opened,
            app.patient(settings) as mongo,
            app.services_of(settings, clients := replace(opened, mongo=mongo)) as services,
        ):
            found = await readers(settings, clients, services)
            return {
                "pages": await pages(clients, services, found),
                "cold": await cold(clients, services),
                "timelines": await timelines(clients),
                "stream": await stream(clients),
                "documents": await documents(clients),
            }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="put the figures into docs/bench.json")
    args = parser.parse_args()
    figures = run(main())
    print(json.dumps(figures, indent=1))
    if args.write:
        report.keep("sizes", figures)
