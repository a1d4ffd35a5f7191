"""Search over a million tweets on an embedded mongod: p50 and p99 of the good cases and of the worst ones.

Run it from the root: python -m tests.bench.search [DIRECTORY]. With a directory the world is planted there once and
found again by the next run.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from statistics import quantiles
from tempfile import TemporaryDirectory

from datastore import ids
from datastore.devserver import mongod
from datastore.mongo import Doc, Mongo
from datastore.search import Found, Search
from datastore.tweets import Tweets, new_doc
from datastore.users import new_doc as new_user

TWEETS, PEOPLE, WORDS = 1_000_000, 100_000, 50_000
# A tweet a minute, so that the bench's moments are those of two years.
START_MS, STEP_MS = 1_700_000_000_000, 60_000
BATCH = 5_000
ROUNDS = 100
SHY = range(PEOPLE - 999, PEOPLE + 1)


def users() -> list[Doc]:
    """Two words of a name each; ids in the order of their fame."""
    chance = Random(1)
    names = ["".join(chance.choices("aeioubdfklmnprst", k=6)).title() for _ in range(2000)]
    return [
        new_user(f"person{number}", f"{chance.choice(names)} {chance.choice(names)}", START_MS + number)
        | {"_id": number + 1, "imported": True}
        for number in range(PEOPLE)
    ]


def tweets() -> Iterator[Doc]:
    """By Zipf's law in words and in authors. "every" is in each tweet, "even" and "odd" in every second and never
    together, "rare" in 20 of all, "old" in the 20 first. The last
    1,000 people, SHY, have written the 5,000 oldest.
    """
    chance = Random(2)
    words = [f"w{number}" for number in range(WORDS)]
    word_weights = list(accumulate(1 / (rank + 1) for rank in range(WORDS)))
    author_weights = list(accumulate(1 / (rank + 1) ** 0.7 for rank in range(PEOPLE - 1000)))
    authors = chance.choices(range(1, PEOPLE - 999), cum_weights=author_weights, k=TWEETS)
    authors[:5000] = [SHY[number % 1000] for number in range(5000)]
    for number, author in enumerate(authors):
        said = chance.choices(words, cum_weights=word_weights, k=chance.randrange(6, 16))
        said += ["every", "odd" if number % 2 else "even"]
        said += ["rare"] * (number % 50_000 == 25_000) + ["old"] * (number < 20) + ["#tagged"] * (number % 100 == 7)
        tweet_id = ids.new(START_MS + number * STEP_MS, author, tie=0)
        yield new_doc(tweet_id, author, " ".join(said)) | {"imported": True}


async def plant(mongo: Mongo) -> None:
    """The world, once; the indexes afterwards."""
    if await mongo.system.find_one({"_id": "bench"}):
        return
    began = time.monotonic()
    written: Counter[int] = Counter()
    batch: list[Doc] = []
    for doc in tweets():
        batch.append(doc)
        written[doc["author"]] += 1
        if len(batch) == BATCH:
            await mongo.tweets.insert_many(batch, ordered=False)
            batch = []
    await mongo.users.insert_many([doc | {"tweets": written[doc["_id"]]} for doc in users()])
    planted = time.monotonic() - began
    await mongo.ensure_indexes()
    await mongo.system.insert_one({"_id": "bench"})
    print(f"planted in {planted:.0f} s, indexed in {time.monotonic() - began - planted:.0f} s")


def cases() -> dict[str, tuple[list[str], list[int] | None]]:
    """Terms and authors (None: everybody). SHY people have written five tweets each, among the 5,000 oldest."""
    common = ["every", *(f"w{number}" for number in range(9))]
    return {
        "a term in every tweet": (["every"], None),
        "a term in 20 tweets": (["rare"], None),
        "every, and a term in 20": (["every", "rare"], None),
        "every, and the 20 oldest": (["every", "old"], None),
        "two common words": (["w3", "w7"], None),
        "two words in 0.1%": (["w100", "w200"], None),
        "two that never meet, each in 50%": (["even", "odd"], None),
        "ten common words": (common, None),
        "a #hashtag and a word": (["#tagged", "w5"], None),
        "by the most prolific, a word": (["w50"], [1]),
        "by one shy author, every": (["every"], [SHY[0]]),
        "of 5 shy authors, every": (["every"], [*SHY[:5]]),
        "of 200 authors, a common word": (["w3"], [*range(300, 500)]),
        "of 200 authors, a word in 20": (["rare"], [*range(300, 500)]),
        "of 1,000 shy authors, every": (["every"], [*SHY]),
        "of 5,000 authors, a common word": (["w3"], [*range(500, 5500)]),
        "of 5,000 authors, a word in 0.01%": (["w800"], [*range(500, 5500)]),
        "of 1,001 who are silent lately, every": (["every"], [*SHY, PEOPLE + 1]),
    }


async def timed(name: str, ask: Callable[[], Awaitable[tuple[int, bool]]]) -> None:
    """Prints how long it takes, and of the last answer how many there were and whether there are more."""
    took: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found, more = await ask()
        took.append((time.perf_counter() - began) * 1000)
    p50, p99 = quantiles(took, n=100)[49], quantiles(took, n=100)[98]
    said = f"{found} found" + (", more" if more else "")
    print(f"{name:40} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   {said}", flush=True)


async def measure(mongo: Mongo) -> None:
    search, bodies = Search(mongo), Tweets(mongo)
    chance = Random(3)

    def anywhere() -> int:
        # Any moment of the newer half: what a page deep in the results asks.
        return ids.new(START_MS + chance.randrange(TWEETS // 2, TWEETS) * STEP_MS, 1)

    async def page(terms: list[str], authors: list[int] | None) -> tuple[int, bool]:
        found: Found = await search.tweets(terms, authors, 15, anywhere())
        await bodies.get_many(found.tweet_ids)
        return len(found.tweet_ids), found.resume is not None

    async def people(prefix: str) -> tuple[int, bool]:
        edges = await search.users(prefix, 16, None)
        return len(edges), len(edges) > 15

    for name, (terms, authors) in cases().items():
        await timed(name, lambda terms=terms, authors=authors: page(terms, authors))  # type: ignore[misc]
    for prefix in ("a", "person9999", "bo", "bodi", "no such name"):
        await timed(f'people, "{prefix}"', lambda prefix=prefix: people(prefix))  # type: ignore[misc]
    for collection in ("tweets", "users"):
        stats = await mongo.db.command("collStats", collection)
        sizes = {name: f"{size / 1e6:.0f} MB" for name, size in stats["indexSizes"].items()}
        print(f"{collection}: {stats['count']:,}, {stats['storageSize'] / 1e6:.0f} MB on disk, indexes {sizes}")


async def main(folder: Path) -> None:
    async with mongod(folder / "mongo") as url:
        mongo = Mongo(url, "bench", deadline_ms=600_000)
        await plant(mongo)
        await measure(mongo)
        await mongo.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1])))
    else:
        with TemporaryDirectory() as folder:
            asyncio.run(main(Path(folder)))
