"""The world that requests are measured in: people, follows, tweets and likes, planted by Perch's own import. Measures
nothing.

Nobody follows those who answer, so no rule of Perch hides an entry: a server that knows no rules has the same answers.
"""

import asyncio
import csv
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import app
from datastore import ids, importer, popularity
from datastore.mongo import UpdateOne
from resolvers import accounts
from resolvers.context import Context, Services

DAY_MS = 24 * 3600 * 1000
# Tweets lie this far back: the older half of the top tweets has faded, as it would.
PAST_MS = 14 * DAY_MS
WORDS = Path(__file__).with_name("words.txt")
LIKES_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Size:
    """How large a world is. Every reader follows `followees` others, each of whom has `tweets` of their own."""

    readers: int = 1900
    repliers: int = 100
    followees: int = 40
    tweets: int = 20
    conversations: int = 100
    replies: int = 20
    likes: int = 60_000

    @property
    def everybody(self) -> int:
        return self.readers + self.repliers

    @property
    def all_tweets(self) -> int:
        return self.readers * self.tweets + self.conversations * self.replies


TINY = Size(readers=12, repliers=4, followees=5, tweets=6, conversations=2, replies=20, likes=200)


@dataclass(frozen=True, slots=True)
class World:
    """What requests need to name: readers with their tokens, the conversations' first tweets, words that are found."""

    reader_ids: list[int]
    names: list[str]
    tokens: list[str]
    tweet_ids: list[int]
    conversation_ids: list[int]
    words: list[str]


async def plant(clients: app.Clients, services: Services, folder: Path, size: Size) -> World:
    """The world, the same in every run but for the ids of people. It is planted once in a database."""
    if await clients.mongo.users.count_documents({}, limit=1) == 0:
        now_ms = ids.now_ms()
        files = {kind: _write(folder / f"{kind}.csv", rows) for kind, rows in _rows(size, now_ms).items()}
        await importer.run(
            clients.mongo,
            now_ms=now_ms,
            users=files["users"],
            follows=files["follows"],
            tweets=files["tweets"],
            touched=services.timelines.drop,
        )
        await _like(clients, size, now_ms)
    people = {doc["username"]: doc["_id"] async for doc in clients.mongo.users.find({}, {"username": 1})}
    names = [f"r{number}" for number in range(size.readers)]
    readers = [people[name] for name in names]
    answered = clients.mongo.tweets.find({"replies": {"$gte": size.replies}}, {"_id": 1}).sort("_id", -1)
    tweets = clients.mongo.tweets.find({"is_reply": False}, {"_id": 1}).sort("_id", -1)
    return World(
        readers,
        names,
        await tokens(services, readers),
        [doc["_id"] async for doc in tweets],
        [doc["_id"] async for doc in answered],
        words(),
    )


def _rows(size: Size, now_ms: int) -> dict[str, Iterable[Sequence[object]]]:
    rng = random.Random(2006)
    common, start = words(), now_ms - PAST_MS
    readers = [f"r{number}" for number in range(size.readers)]
    repliers = [f"t{number}" for number in range(size.repliers)]
    users = [(name, f"Person {name}", f"{start - DAY_MS}") for name in (*readers, *repliers)]
    follows = [
        (readers[number], readers[other], f"{start - DAY_MS + number}")
        for number in range(size.readers)
        for other in rng.sample([*range(number), *range(number + 1, size.readers)], size.followees)
    ]
    said = [(f"{number}", name, "") for number, name in enumerate(readers * size.tweets)]
    rng.shuffle(said)
    step = PAST_MS // (len(said) + 1)
    tweets = [(*one, f"{start + at * step}") for at, one in enumerate(said)]
    replies = [
        (f"{one}-{number}", rng.choice(repliers), said[one * 7 % len(said)][0], f"{now_ms - 60_000 + number}")
        for one in range(size.conversations)
        for number in range(size.replies)
    ]
    return {
        "users": [("username", "display_name", "created_at"), *users],
        "follows": [("follower", "followee", "created_at"), *follows],
        "tweets": [
            ("id", "author", "in_reply_to", "created_at", "text"),
            *((*one, text(rng, common)) for one in [*tweets, *replies]),
        ],
    }


def _write(path: Path, rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def words() -> list[str]:
    """The commonest first."""
    return WORDS.read_text().split()


def text(rng: random.Random, words: Sequence[str]) -> str:
    """A tweet's."""
    # Common words are common: the first is in every sixth tweet or so.
    return " ".join(words[int(len(words) * rng.random() ** 2)] for _ in range(rng.randint(8, 16)))[:140]


async def _like(clients: app.Clients, size: Size, now_ms: int) -> None:
    """Likes of few tweets by many and of most by few. The import knows none, so they are written as it would."""
    rng = random.Random(2007)
    users = [doc["_id"] async for doc in clients.mongo.users.find({}, {"_id": 1}).sort("_id", 1)]
    tweets = [
        (doc["_id"], doc["author"])
        async for doc in clients.mongo.tweets.find({}, {"author": 1}).sort("_id", -1)
    ]  # fmt: skip
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < size.likes:
        tweet, author = tweets[int(len(tweets) * rng.random() ** 3)]
        if (user := rng.choice(users)) != author:
            pairs.add((tweet, user))
    edges = [{"_id": {"t": tweet, "u": user}, "at": now_ms, "imported": True} for tweet, user in sorted(pairs)]
    for at in range(0, len(edges), LIKES_AT_ONCE):
        await clients.mongo.likes.insert_many(edges[at : at + LIKES_AT_ONCE], ordered=False)
    counts = sorted(Counter(tweet for tweet, _ in pairs).items())
    imported = {"$set": {"imports": 1}}
    moves = [UpdateOne({"_id": tweet}, [*popularity.move("likes", by, by), imported]) for tweet, by in counts]
    for at in range(0, len(moves), LIKES_AT_ONCE):
        await clients.mongo.tweets.bulk_write(moves[at : at + LIKES_AT_ONCE], ordered=False)


async def tokens(services: Services, readers: Sequence[int]) -> list[str]:
    """Access tokens of these people, in order, each of a session of its own."""
    context = Context(services, "127.0.0.1", "bench")
    tokens: list[str] = []
    for at in range(0, len(readers), 100):
        opened = await asyncio.gather(*(accounts.open_session(context, one) for one in readers[at : at + 100]))
        tokens += [session.access_token for session in opened]
    return tokens
